"""A few made-up rows in AffectNet's official folder."""

from pathlib import Path

import numpy as np

from tests.datasets.pictures import picture, write

HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
LANDMARKS = np.round(np.random.default_rng(3).uniform(5, 35, (68, 2)), 2)
TRAINING = [
    ("1/a.jpg", 0, 0.05, 0.1),  # neutral and weak
    ("1/b.jpg", 1, 0.8, 0.2),  # happy
    ("2/c.png", 1, -0.5, 0.2),  # happy, but unpleasant
    ("2/d.jpg", 9, -2, -2),  # uncertain
    ("2/e.jpg", 5, -0.25, 0.1),  # disgust, weaker than .3
]
VALIDATION = [("3/f.jpg", 7, -0.6, 0.5), ("3/g.jpg", 10, -2, -2)]


def make(folder: Path) -> None:
    """Write the folder; the validation list has no first line of names, as in some copies."""
    for name, rows, header in (("training", TRAINING, HEADER + "\n"), ("validation", VALIDATION, "")):
        lines = [_line(*row) for row in rows]
        write(folder / "Manually_Annotated_file_lists" / f"{name}.csv", header + "\n".join(lines) + "\n")
        for seed, (file, *_) in enumerate(rows):
            kind = "PNG" if file.endswith("png") else "JPEG"
            write(folder / "Manually_Annotated_Images" / file, picture(seed, kind=kind))


def _line(file: str, expression: int, valence: float, arousal: float) -> str:
    landmarks = ";".join(map(str, LANDMARKS.ravel()))
    return f"{file},4,5,30,28,{landmarks},{expression},{valence},{arousal}"
