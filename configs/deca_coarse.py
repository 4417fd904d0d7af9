"""DECA's coarse stage: E_flame for FLAME on photos of known people.

Paper: DECA (arXiv:2012.04012), section 3.3 and its released configuration; hyper-parameters as there. Data that have a
licence: VGGFace2-HQ packaged by `data_pipelines.build`, FLAME and the networks converted by `emoca convert`. The
pictures come without landmarks, which DECA took from FAN: our detector looks for faces in them, once.
Data: python -m data_pipelines.found vggface2_hq train --data_dir datasets, the same for validation
Command: python scripts/train.py --config=configs/deca_coarse.py --folder=runs/deca --config.model=models/emoca
    --config.data.folder=datasets --config.start=runs/pretrain
Expected: nobody has run it yet in this project: the data need a licence. Steps of it on made-up photos are tested
(tests/training/test_known_people.py); all of it compiles for eight H100 (tests/accelerators).
"""

from ml_collections import ConfigDict, config_dict

from data_pipelines.augment import Amounts
from emoca_jax.objectives.coarse import DECA_COARSE_WEIGHTS

NO_CHANGE = dict.fromkeys(Amounts._fields, 0.0)


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.stage, config.name, config.trained = "coarse_on_photos", "deca_coarse", "flame"
    # A converted folder with head, maps and the loss's networks.
    config.model = "models/emoca"
    # A run's folder to go on from, in place of that.
    config.start = ""
    # Whether the folder's E_flame, where it has one, is the start in place of nothing.
    config.start_flame = True
    config.weights = ConfigDict(DECA_COARSE_WEIGHTS)
    config.mask_kind = "rendered"
    config.same_shape, config.per_identity = "exchange", 2
    # True: the reference's bugs, with which its weights were trained.
    config.official = False
    config.bfloat16 = True
    config.data = ConfigDict(
        {
            "names": ("vggface2_hq",),
            "split": "train",
            "held_out": "validation",
            "folder": "~/tensorflow_datasets",
            # Landmarks as `data_pipelines.found` found them, which also say where the face is; else the dataset's.
            "found": True,
            # More than the network's 224 pixels and the crop's 1.25, so that crops can be turned and moved.
            "side": 288,
            "margin": 1.6,
            "threads": 8,
            "ahead": 8,
        }
    )
    # Scale, turn and place as EMOCA changes them (+-10 %, +-10 degrees, +-5 %).
    config.augment = ConfigDict(NO_CHANGE | {"turn": 0.1, "zoom": 0.06, "shift": 0.03})
    config.batch = 32
    config.rate = 1e-4
    config.settings = ConfigDict(
        {
            "steps": 200_000,
            "seed": 0,
            "log_every": 100,
            "save_every": 2_000,
            "evaluate_every": 10_000,
            "accumulate": 1,
            "decay": config_dict.placeholder(float),
            "spread_parameters": False,
            "most_skipped": 10,
        }
    )
    return config
