"""DECA's coarse stage for one H100: E_flame for the open head, a ResNet-50 on 224 pixels.

Paper: DECA (arXiv:2012.04012), section 3.3; shape consistency as the mean of two images of a person. No identity term:
no identity network has an open licence. Goes on from deca_pretrain_small.py.
Command: python scripts/train.py --config=configs/open/deca_coarse_small.py --folder=runs/deca
    --config.start=runs/pretrain --config.data.train="('datasets',)" --config.data.held_out=datasets
Compiled for eight H100s (--dry_run --for h100): 396 MiB of state, 486 MiB and 192 GFLOP a step on each.
Expected: NOBODY HAS RUN IT AT THIS SIZE; three steps of 4 faces came through on a CPU. Sized for 8 minutes at 1,000
images/s (64 x 7,000 = 448,000 images), which is the goal and has not been measured.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import deca_coarse_tiny
from configs.open.deca_pretrain_small import LANDMARKS, PRIORS, sized_for_a_gpu


def get_config() -> ConfigDict:
    config: Any = deca_coarse_tiny.get_config()
    config.weights = ConfigDict({**LANDMARKS, **PRIORS, **config.weights})
    config.same_shape, config.per_identity = "same", 2
    sized_for_a_gpu(config, steps=7_000)
    config.batch, config.rate = 64, 1e-4
    return config
