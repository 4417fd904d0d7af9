"""DECA's coarse stage in small: E_flame for the open head from found landmarks and from how its drawing looks.

Paper: DECA (arXiv:2012.04012), section 3.3; shape consistency as the mean of two images of a person. No identity term:
no identity network has an open licence. Goes on from configs/open/deca_pretrain_tiny.py.
Command: python scripts/train.py --config=configs/open/deca_coarse_tiny.py --folder=runs/deca
    --config.start=runs/pretrain --config.data.train="('datasets',)" --config.data.held_out=datasets
Expected: photometric error .036 (mean over the crop's pixels), points off by .026, on 160 other faces; 10.5 minutes.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import deca_pretrain_tiny
from configs.open.deca_pretrain_tiny import LANDMARKS, PRIORS


def get_config() -> ConfigDict:
    config: Any = deca_pretrain_tiny.get_config()
    config.name = "deca_coarse"
    config.weights = ConfigDict(LANDMARKS | PRIORS | {"photometric": 2.0, "albedo_prior": 1e-5, "light_colour": 1.0})
    config.same_shape, config.per_identity = "same", 2
    config.rate = 7e-4
    config.schedule = config.settings.steps = config.settings.evaluate_every = 400
    return config
