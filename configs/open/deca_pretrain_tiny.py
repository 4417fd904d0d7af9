"""DECA's first stage in small: E_flame for the open head from found landmarks alone; nothing is drawn.

Paper: DECA (arXiv:2012.04012), section 4.1. Backbone, size and data are of this project: readers of a frozen expression
network (nets/open_encoder.py) on 112 pixels, packaged open faces in which our detector has looked for faces.
Command: python scripts/train.py --config=configs/open/deca_pretrain_tiny.py --folder=runs/pretrain
    --config.data.train="('datasets',)" --config.data.held_out=datasets
Expected: points off by .025 of half the crop's side (mean of |x|, |y|) on 160 other faces; 4.5 minutes.
"""

from ml_collections import ConfigDict, config_dict

from data_pipelines.augment import Amounts

LANDMARKS = {"landmarks_mediapipe": 1.0, "eyes_mediapipe": 1.0, "lips_mediapipe": 0.5}
"""DECA's weights, of MediaPipe's points in place of the 68."""
PRIORS = {"shape_prior": 5e-7, "expression_prior": 1e-5}
"""Sums over the batch, as the official code has them; smaller than its 1e-4, since 200 identity directions and 52 units
share what is seen, and 468 points tell more of them than 68."""
AMOUNTS = Amounts(turn=0.1, zoom=0.06, shift=0.03, gain=0.25, grey=0.05, soft=0.3, noise=0.02)


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.stage, config.name = "coarse_on_drawings", "deca_pretrain"
    config.trained = "flame"
    # "reader": of a frozen expression network, on 112 pixels; "resnet50": EMOCA's, on 224, in bfloat16.
    config.backbone = "reader"
    # A run's folder to go on from; "" for a network that has learned nothing.
    config.start = ""
    config.weights = ConfigDict(LANDMARKS | PRIORS)
    # The emotion network of the loss: "open" (what ships), or the folder of a run of configs/open/emotion_on_open.py
    # or emotion_small.py.
    config.eye = "open"
    config.mask_kind = "intersection"
    config.same_shape, config.per_identity = "none", 1
    config.data = ConfigDict(
        {
            # Folders that `data_pipelines.build open_faces` and `data_pipelines.found` wrote to; the last one judges.
            "train": ("~/tensorflow_datasets",),
            "held_out": "~/tensorflow_datasets",
            "side": 144,
            "threads": 1,
            "ahead": 2,
        }
    )
    config.augment = ConfigDict(AMOUNTS._asdict())
    config.batch = 32
    config.rate = 1.5e-3
    config.warm_up = 30
    config.schedule = 600
    config.settings = ConfigDict(
        {
            "steps": 600,
            "seed": 0,
            "log_every": 20,
            "save_every": 200,
            "evaluate_every": 600,
            "accumulate": 1,
            "decay": config_dict.placeholder(float),
            "spread_parameters": False,
            "most_skipped": 10,
        }
    )
    config.settings.decay = 0.98
    return config
