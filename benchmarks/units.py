"""Agreement of the expression units of `emoca reconstruct` with a judge, MediaPipe's Face Landmarker.

    python benchmarks/units.py --judge face_landmarker.task --python JUDGE_VENV/bin/python PHOTO_OR_FOLDER [...]

The judge needs `mediapipe==0.10.21`, which wants an older NumPy than this project: give the Python of an environment
that has it. It is not independent: its answers to other landmarks taught the network that reads units for the fit
(scripts/train_unit_reader.py). Prints Pearson's r over the photos' largest faces, and mean and maximum of both, unit by
unit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import emoca_jax as ej
from emoca_jax.capture.images import find_images
from emoca_jax.errors import InputError

IN_THE_JUDGE = """
import json, sys
try:
    import mediapipe
except ImportError:
    sys.exit(3)
from mediapipe.tasks import python
from mediapipe.tasks.python import vision
base = python.BaseOptions(model_asset_path=sys.argv[1])
options = vision.FaceLandmarkerOptions(base_options=base, output_face_blendshapes=True, num_faces=1)
found = {}
with vision.FaceLandmarker.create_from_options(options) as judge:
    for path in sys.argv[2:]:
        read = judge.detect(mediapipe.Image.create_from_file(path)).face_blendshapes
        if read:
            found[path] = {unit.category_name: float(unit.score) for unit in read[0]}
print(json.dumps(found))
"""
SEEN = 0.2
"""From which on a unit of the judge is no noise."""
ABSENT = 3
"""Exit code of a Python without mediapipe."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--judge", type=Path, required=True, help="face_landmarker.task")
    parser.add_argument("--python", default=sys.executable, help="of an environment with mediapipe==0.10.21")
    parser.add_argument("--model", default="open", help="of `emoca reconstruct` (default: open)")
    parser.add_argument("--method", help="of `emoca reconstruct`")
    arguments = parser.parse_args()
    paths = [str(path) for path in find_images(arguments.photos)]
    try:
        told = judged(arguments.judge, arguments.python, paths)
    except InputError as error:
        print(error)
        return 0
    print_agreement(ours(paths, arguments.model, arguments.method), told)
    return 0


def judged(judge: Path, python: str, paths: list[str]) -> dict[str, dict[str, float]]:
    """The judge's units of each photo's face. Errors: InputError where `python` has no mediapipe."""
    told = subprocess.run([python, "-c", IN_THE_JUDGE, str(judge), *paths], capture_output=True, text=True, check=False)
    if told.returncode == ABSENT:
        raise InputError(
            f"skipped: {python} has no mediapipe; pip install mediapipe==0.10.21 in an environment of its own"
        )
    if told.returncode:
        raise RuntimeError(told.stderr[-2000:])
    return json.loads(told.stdout.splitlines()[-1])


def ours(paths: list[str], name: str = "open", method: Any = None) -> dict[str, dict[str, float]]:
    """Units of each photo's largest face."""
    model, found, errors = ej.load_model(name), {}, []
    for path in paths:
        try:
            (face,) = ej.reconstruct(model, path, faces="largest", method=method)
        except InputError as error:
            print(error)
            continue
        found[path] = dict(zip(face.head.expression_names, np.asarray(face.codes.expression).tolist(), strict=True))
        errors.append(face.fit_error)
        print(f"{Path(path).name}: {face.fit_error:.2f} %", file=sys.stderr)
    print(f"landmarks off by {np.mean(errors):.2f} % of the face's width, mean over {len(errors)} photos")
    return found


def print_agreement(ours: dict[str, dict[str, float]], judge: dict[str, dict[str, float]]) -> None:
    """A row a unit over the photos that both read."""
    both = sorted(set(ours) & set(judge))
    agreement, differences = [], []
    print(f"{len(both)} photos\n{'unit':20} {'r':>5}   ours mean/max   judge mean/max")
    for unit in sorted(set(ours[both[0]]) & set(judge[both[0]])):
        first, second = (np.array([units[path][unit] for path in both]) for units in (ours, judge))
        constant = not first.std() or not second.std()
        if second.max() >= SEEN and not constant:
            agreement.append(np.corrcoef(first, second)[0, 1])
            differences.append(np.abs(first - second).mean())
        r = "    -" if constant else f"{np.corrcoef(first, second)[0, 1]:5.2f}"
        print(f"{unit:20} {r}   {first.mean():.2f} / {first.max():.2f}     {second.mean():.2f} / {second.max():.2f}")
    print(
        f"mean of the {len(agreement)} units that the judge sees at {SEEN} or more somewhere: "
        f"r {np.mean(agreement):.2f}, difference {np.mean(differences):.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
