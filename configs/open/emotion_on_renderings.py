"""The recogniser of configs/open/emotion_on_open.py, taught to feel the same in a rendering as in the photo.

Goes on from a run of that configuration, with photos and renderings of drawn faces side by side: every face's photo,
its rendering with true units, and its units on another face, all with the face's labels and features that must agree;
and renderings of units that no face has, whose units it must tell (data_pipelines/rendered_looks.py). The trunk's
looks are made first, with a start of EMOCA's stage:
Command: python scripts/look_at_renderings.py --data recogniser --start runs/deca --output looks/train.npz
    python scripts/look_at_renderings.py --data datasets --start runs/deca --output looks/held_out.npz \
        --split validation
    python scripts/train.py --config=configs/open/emotion_on_renderings.py --folder=seen --config.start=eye \
        --config.data.train="('looks/train.npz',)" --config.data.held_out=looks/held_out.npz
Expected: with 11,520 faces V-CCC .774, A-CCC .737, accuracy .68 on photos and renderings of 288 faces of other people
(with 4,896 .771, .727, .67); 1.5 minutes of a processor, after 7 of looking.
On several devices --config.batch must be a multiple of them; views of a face stay on its device, so rows lie in
another order there than on one and hide other features (dropout): the numbers above are of one.
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
    # Looks, each of four views.
    config.batch = 36
    config.rate = 5e-4
    config.warm_up = 20
    # Of share_between_views; a loss of about 1 is the classes' likelihood.
    config.agreement = 1.0
    # Of the units' mean square; 10 where photos alone are read. What a loss may do to units the features must tell.
    config.unit_share = 30.0
    config.schedule = config.settings.steps = config.settings.evaluate_every = 600
    config.settings.decay = 0.98
    return config
