"""Expression, valence, arousal and 52 units from the layers of face-api's expression network (nets/emotion/on_open.py).

That network learned from photos and stays as it is; only what reads its last two blocks is trained, on drawn faces.
Data as for configs/open/emotion_small.py.
Command: python scripts/train.py --config=configs/open/emotion_on_open.py --folder=runs/emotion_on_open \
    --config.data.train="('datasets',)" --config.data.held_out=datasets
Expected: after 700 steps V-CCC .69, A-CCC .63, accuracy .58, units' mean absolute error .094 on 640 drawn faces of
other people; about 10 minutes of one core.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import emotion_small


def get_config() -> ConfigDict:
    config: Any = emotion_small.get_config()
    config.network = "on_open"
    # The only size that it takes.
    config.crop, config.data.side = 112, 144
    config.schedule = config.settings.steps = 700
    return config
