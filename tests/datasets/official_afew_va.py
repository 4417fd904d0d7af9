"""Seven made-up clips of six actors in AFEW-VA's official folder."""

import json
from pathlib import Path

import numpy as np

from tests.datasets.pictures import picture, write

ACTORS = {"001": "anna", "002": "ben", "003": "anna", "004": "cleo", "005": "dora", "006": "emil", "007": "fred"}
FRAMES = {"001": 3, "002": 2, "003": 1, "004": 1, "005": 1, "006": 1, "007": 1}


def make(folder: Path) -> None:
    """Write the folder."""
    for clip, actor in ACTORS.items():
        random = np.random.default_rng(int(clip))
        frames = {}
        for number in range(FRAMES[clip]):
            name = f"{number:05d}"
            write(folder / clip / f"{name}.png", picture(int(clip) * 10 + number, kind="PNG"))
            landmarks = np.round(random.uniform(5, 35, (68, 2)), 3).tolist()
            frames[name] = {"landmarks": landmarks, "arousal": float(number - 1), "valence": 10.0 if number else -7.0}
        write(folder / clip / f"{clip}.json", json.dumps({"video_id": clip, "actor": actor, "frames": frames}))
