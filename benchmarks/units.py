"""Agreement of the expression units of `emoca reconstruct` with an independent judge, MediaPipe's Face Landmarker.

    python benchmarks/units.py --judge face_landmarker.task --python JUDGE_VENV/bin/python PHOTO_OR_FOLDER [...]

The judge needs `mediapipe==0.10.21`, which wants an older NumPy than this project: give the Python of an environment
that has it. Prints Pearson's r over the photos' largest faces, and mean and maximum of both, unit by unit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

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
ABSENT = 3
"""Exit code of a Python without mediapipe."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--judge", type=Path, required=True, help="face_landmarker.task")
    parser.add_argument("--python", default=sys.executable, help="of an environment with mediapipe==0.10.21")
    arguments = parser.parse_args()
    paths = [str(path) for path in find_images(arguments.photos)]
    told = subprocess.run(
        [arguments.python, "-c", IN_THE_JUDGE, str(arguments.judge), *paths],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if told.returncode == ABSENT:
        print(
            f"skipped: {arguments.python} has no mediapipe; pip install mediapipe==0.10.21 in an environment of its own"
        )
        return 0
    if told.returncode:
        print(told.stderr[-2000:])
        return 1
    print_agreement(ours(paths), json.loads(told.stdout.splitlines()[-1]))
    return 0


def ours(paths: list[str]) -> dict[str, dict[str, float]]:
    """Units of each photo's largest face."""
    model, found = ej.load_model("open"), {}
    for path in paths:
        try:
            (face,) = ej.reconstruct(model, path, faces="largest")
        except InputError as error:
            print(error)
            continue
        found[path] = dict(zip(face.head.expression_names, np.asarray(face.codes.expression).tolist(), strict=True))
        print(f"{Path(path).name}: {face.fit_error:.2f} %", file=sys.stderr)
    return found


def print_agreement(ours: dict[str, dict[str, float]], judge: dict[str, dict[str, float]]) -> None:
    """A row a unit over the photos that both read."""
    both = sorted(set(ours) & set(judge))
    print(f"{len(both)} photos\n{'unit':20} {'r':>5}   ours mean/max   judge mean/max")
    for unit in sorted(set(ours[both[0]]) & set(judge[both[0]])):
        first, second = (np.array([units[path][unit] for path in both]) for units in (ours, judge))
        constant = not first.std() or not second.std()
        r = "    -" if constant else f"{np.corrcoef(first, second)[0, 1]:5.2f}"
        print(f"{unit:20} {r}   {first.mean():.2f} / {first.max():.2f}     {second.mean():.2f} / {second.max():.2f}")


if __name__ == "__main__":
    sys.exit(main())
