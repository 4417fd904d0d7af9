"""The small recogniser (nets/emotion/small.py): expression, valence, arousal and 52 units from a picture of a face.

Learns from open faces alone, packaged first (docs/open_faces.md): python -m data_pipelines.build open_faces ...
Command: python scripts/train.py --config=configs/open/emotion_small.py --folder=runs/emotion_small \
    --config.data.train="('datasets',)" --config.data.held_out=datasets
"""

from ml_collections import ConfigDict

from data_pipelines.augment import Amounts


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.stage = "emotion_from_drawings"
    config.network = "small"
    # Pixels a side of what the network sees; it takes any size, and half the side is a quarter of the time.
    config.crop = 112
    config.data = ConfigDict(
        {
            # Folders that `data_pipelines.build open_faces` wrote to, and the one whose validation split judges.
            "train": ("~/tensorflow_datasets",),
            "held_out": "~/tensorflow_datasets",
            # Pixels a side of the packaged pictures; others are resized.
            "side": 144,
            "threads": 1,
            "ahead": 2,
        }
    )
    config.augment = ConfigDict(Amounts()._asdict())
    config.batch = 64
    config.rate = 2e-3
    config.warm_up = 200
    config.weight_decay = 1e-2
    config.settings = ConfigDict(
        {
            "steps": 4_000,
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
