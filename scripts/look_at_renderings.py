"""Keeps what a frozen expression network sees in photos and renderings of drawn faces, for
configs/open/emotion_on_renderings.py:

    python scripts/look_at_renderings.py --data recogniser --start runs/deca --output looks/train.npz

Renderings are drawn as EMOCA's coarse stage in small draws them, by what it starts from, with the faces' true units
(data_pipelines/rendered_looks.py). A face was looked for in the pictures before (python -m data_pipelines.found). The
split "train" is looked at as it is trained on, changed at random; all others as at inference. A look at 1,000 faces
takes .3 GB and 37 to 56 seconds of a processor.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# data_pipelines, the package and the other scripts are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax

from configs.open.deca_coarse_tiny import AMOUNTS
from data_pipelines.augment import Amounts
from data_pipelines.found import open_found
from data_pipelines.rendered_looks import Look, in_place, looker, rendered_looks, save_looks
from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.files.whole import open_folder
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.flame import load_head
from emoca_jax.jobs.landmark_encoders import landmark_encoders
from emoca_jax.nets.emotion.open import load_expression_networks
from emoca_jax.training.stages.encoders import FLAME
from scripts.train_coarse import started_from

SIDE = 144
"""Pixels a side of the packaged pictures."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, or 2 where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of packaged open faces, looked for")
    parser.add_argument("--split", default="train")
    parser.add_argument("--start", required=True, help="a run of configs/open/deca_coarse_tiny.py, which draws")
    parser.add_argument("--output", type=Path, required=True, help="the file of looks")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    try:
        open_folder(asked.output.parent)
        source = open_found("open_faces", asked.split, data_dir=asked.data)
        look = _look(asked.start, AMOUNTS if asked.split == "train" else None)
        looks = rendered_looks(source, look, seed=asked.seed, side=SIDE)
        save_looks(asked.output, looks)
    except InputError as error:
        print(f"look_at_renderings: {error}", file=sys.stderr)
        return 2
    print(f"{len(looks.maps)} faces in {asked.output}")
    return 0


def _look(run: str, amounts: Amounts | None) -> Look:
    """By what a run left."""
    head = jax.device_put(load_head("open"))
    encoders = landmark_encoders(head, landmark_model(head))
    if not run:
        raise InputError("give --start a run of configs/open/deca_coarse_tiny.py")
    parameters, statistics = started_from(run, encoders, FLAME)

    def encode(seen: Mapping[str, Any]) -> Codes:
        found = seen["landmarks_mediapipe"]
        return encoders.encode(parameters, statistics, seen["images"], trained=None, landmarks=found).codes

    trunk = jax.device_put(load_expression_networks()["params"]["dense"])
    return looker(encode, functools.partial(in_place, head), trunk, size=encoders.size, amounts=amounts)


if __name__ == "__main__":
    sys.exit(main())
