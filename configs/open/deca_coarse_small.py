"""DECA's coarse stage for one H100: E_flame for the open head, a ResNet-50 on 224 pixels.

Paper: DECA (arXiv:2012.04012), section 3.3; terms as in deca_coarse_tiny.py. Goes on from deca_pretrain_small.py.
Command: python scripts/train.py --config=configs/open/deca_coarse_small.py --folder=runs/deca
    --config.start=runs/pretrain --config.data.train="('datasets',)" --config.data.held_out=datasets
Compiled for eight H100s (--dry_run --for h100): 396 MiB of state, 477 MiB and 192 GFLOP a step on each.
Expected: NOBODY HAS RUN IT. Sized for 8 minutes at 1,000 images/s (64 x 7,000 = 448,000 images), which is the goal and
has not been measured.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import deca_coarse_tiny
from configs.open.deca_pretrain_small import sized_for_a_gpu


def get_config() -> ConfigDict:
    config: Any = deca_coarse_tiny.get_config()
    sized_for_a_gpu(config, steps=7_000)
    config.batch, config.rate = 64, 1e-4
    return config
