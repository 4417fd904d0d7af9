"""EMOCA's coarse stage: E_expression for FLAME on AffectNet, E_flame frozen, with emotion consistency.

Paper: EMOCA (arXiv:2204.11312), section 3.2 and its released configuration; hyper-parameters as there (at most 20
epochs of some 280,000 faces). AffectNet packaged by `data_pipelines.build`; FLAME, DECA's E_flame and the emotion
ResNet-50 converted by `emoca convert`.
Command: python scripts/train.py --config=configs/emoca_coarse.py --folder=runs/emoca --config.model=models/deca
    --config.data.folder=datasets
Expected: nobody has run it yet in this project: the gradient of its loss compiles for an H100 (tests/accelerators).
"""

from typing import Any

from ml_collections import ConfigDict

from configs import deca_coarse
from emoca_jax.objectives.coarse import EMOCA_COARSE_WEIGHTS


def get_config() -> ConfigDict:
    config: Any = deca_coarse.get_config()
    config.name, config.trained = "emoca_coarse", "expression"
    config.weights = ConfigDict(EMOCA_COARSE_WEIGHTS)
    config.same_shape, config.per_identity = "none", 1
    config.data.names, config.data.split, config.data.held_out = ("affectnet",), "train_clean", "validation_clean"
    config.data.found = False
    config.batch = 32
    config.rate = 5e-5
    config.settings.steps = 175_000
    return config
