"""DECA's coarse stage in small, for the open head: light and albedo, from how the drawing looks.

Paper: DECA (arXiv:2012.04012), section 3.3. Shape, units, pose and camera are told by the encoder of landmarks
that ships (emoca_jax/fit/one_pass.py), which stays as it is: what is learned is a reader of a frozen expression network
(nets/open_encoder.py) on 112 pixels. Data: packaged open faces in which our detector has looked for faces.
Command: python scripts/train.py --config=configs/open/deca_coarse_tiny.py --folder=runs/deca
    --config.data.train="('datasets',)" --config.data.held_out=datasets
Expected: photometric error .064 (mean over the crop's pixels) on 288 other faces; 2.6 minutes of a processor.
"""

from ml_collections import ConfigDict, config_dict

from data_pipelines.augment import Amounts

AMOUNTS = Amounts(turn=0.1, zoom=0.06, shift=0.03, gain=0.25, grey=0.05, soft=0.3, noise=0.02)


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.stage, config.name = "coarse_on_drawings", "deca_coarse"
    config.trained = "flame"
    # "reader": the encoder of landmarks that ships, as it is, and readers of a frozen expression network beside it, on
    # 112 pixels; "resnet50": EMOCA's, on 224, in bfloat16.
    config.backbone = "reader"
    # Whether what the reader's E_expression adds to the logits of units is nothing on average over faces.
    config.level = False
    # A run's folder to go on from; "" for a network that has learned nothing.
    config.start = ""
    config.weights = ConfigDict({"photometric": 2.0, "albedo_prior": 1e-5, "light_colour": 1.0})
    # The emotion network of the loss: "open" (what ships), or the folder of a run of configs/open/emotion_on_open.py,
    # emotion_on_renderings.py or emotion_small.py.
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
    config.schedule = 300
    config.settings = ConfigDict(
        {
            "steps": 300,
            "seed": 0,
            "log_every": 20,
            "save_every": 200,
            "evaluate_every": 300,
            "accumulate": 1,
            "decay": config_dict.placeholder(float),
            "spread_parameters": False,
            "most_skipped": 10,
        }
    )
    config.settings.decay = 0.98
    return config
