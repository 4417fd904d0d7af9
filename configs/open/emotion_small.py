"""The small recogniser (nets/emotion/small.py): expression, valence, arousal and 52 units from a picture of a face.

Learns from open faces alone, packaged first (docs/open_faces.md): python -m data_pipelines.build open_faces ...
Command: python scripts/train.py --config=configs/open/emotion_small.py --folder=runs/emotion_small \
    --config.data.train="('datasets',)" --config.data.held_out=datasets
Tried so far: 3,100 steps at 64 px, 200 at 80 (docs/training.md); never to its end.
"""

from ml_collections import ConfigDict

from data_pipelines.augment import Amounts


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.stage = "emotion_from_drawings"
    config.network = "small"
    # Pixels a side of what the network sees; it takes any size, and half the side is a quarter of the time.
    config.crop = 80
    config.data = ConfigDict(
        {
            # Folders that `data_pipelines.build open_faces` wrote to, and the one whose validation split judges.
            "train": ("~/tensorflow_datasets",),
            "held_out": "~/tensorflow_datasets",
            # Pixels a side that packaged pictures are brought to; faces fill half to three quarters of them.
            "side": 112,
            "threads": 1,
            "ahead": 2,
        }
    )
    config.augment = ConfigDict(Amounts()._asdict())
    config.batch = 64
    config.rate = 2e-3
    config.warm_up = 200
    # Steps until the rate has fallen to nothing; a run may end before and go on with larger crops.
    config.schedule = 5_700
    config.weight_decay = 1e-2
    config.settings = ConfigDict(
        {
            "steps": 5_700,
            "seed": 0,
            "log_every": 20,
            "save_every": 200,
            "evaluate_every": 400,
            "accumulate": 1,
            "decay": 0.995,
            "spread_parameters": False,
            "most_skipped": 10,
        }
    )
    return config
