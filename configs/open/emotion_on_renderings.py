"""The recogniser of configs/open/emotion_on_open.py, taught to feel the same in a rendering as in the photo.

Goes on from a run of that configuration, with photos and renderings of drawn faces side by side: every face's photo,
its rendering with true units, and its units on another face (data_pipelines/rendered_looks.py), all with the face's
labels, and features that must agree between them. The trunk's looks are made first, with a start of EMOCA's stage:
Command: python scripts/look_at_renderings.py --data recogniser --start runs/deca --output looks/train.npz
    python scripts/look_at_renderings.py --data datasets --start runs/deca --output looks/held_out.npz \
        --split validation
    python scripts/train.py --config=configs/open/emotion_on_renderings.py --folder=seen --config.start=eye \
        --config.data.train="('looks/train.npz',)" --config.data.held_out=looks/held_out.npz
Expected: on photos and renderings of 288 faces of other people V-CCC .765, A-CCC .727, accuracy .68; 65 s of a
processor, after 3 minutes of looking at 4,900 faces.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import emotion_on_open


def get_config() -> ConfigDict:
    config: Any = emotion_on_open.get_config()
    config.stage = "emotion_from_looks"
    # A run of configs/open/emotion_on_open.py to go on from; "" for a head that has learned nothing.
    config.start = ""
    config.data = ConfigDict({"train": ("looks/train.npz",), "held_out": "looks/held_out.npz"})
    # Looks, each of three views.
    config.batch = 48
    config.rate = 5e-4
    config.warm_up = 20
    # Of share_between_views; a loss of about 1 is the classes' likelihood.
    config.agreement = 1.0
    config.schedule = config.settings.steps = config.settings.evaluate_every = 400
    config.settings.decay = 0.98
    return config
