"""EMOCA's emotion network: ResNet-50 on AffectNet, from VGGFace2's weights.

Paper: EMOCA (arXiv:2204.11312), section 3.2 and supplementary material: Adam 1e-4, batches of 64, classes in turn,
likelihood of the class and a random mix of mean squares, 1 - PCC and 1 - CCC of valence and arousal.
Data: python -m data_pipelines.build affectnet --manual_dir AFFECTNET --data_dir datasets
Command: python scripts/train.py --config=configs/emotion_resnet50.py --folder=runs/emotion_resnet50 \
    --config.data.folder=datasets --config.start=converted
Expected: never run on AffectNet, which cannot ship. Published for EMOCA's: V-CCC .77, A-CCC .68, accuracy .68 from 3D
(SMIRK, table 1); EmoNet on its cleaned set .82, .75, .75.
"""

from ml_collections import ConfigDict, config_dict

from data_pipelines.photo_crops import OFFICIAL_AMOUNTS


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.stage = "emotion_from_photos"
    config.network = "resnet50"
    # A folder of `emoca convert` with resnet50_ft_weight.pkl (VGGFace2) in it; None starts from random numbers.
    config.start = config_dict.placeholder(str)
    config.crop = 224
    config.data = ConfigDict(
        {
            "name": "affectnet",
            "folder": "~/tensorflow_datasets",
            "train": "train_clean",
            "held_out": "validation_clean",
            # Squares of 1.6 times the face, so that turning and moving have something to show: 224 pixels within.
            "margin": 1.6,
            "side": 288,
            "threads": 4,
            "ahead": 4,
            # Photos that do not fill the last batch are not judged.
            "judged_at_once": 50,
        }
    )
    config.augment = ConfigDict(OFFICIAL_AMOUNTS._asdict())
    config.batch = 64
    config.rate = 1e-4
    config.settings = ConfigDict(
        {
            "steps": 60_000,
            "seed": 0,
            "log_every": 50,
            "save_every": 1_000,
            "evaluate_every": 2_000,
            "accumulate": 1,
            "decay": config_dict.placeholder(float),
            "spread_parameters": False,
            "most_skipped": 10,
        }
    )
    return config
