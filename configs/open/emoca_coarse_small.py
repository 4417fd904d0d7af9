"""EMOCA's coarse stage for one H100: E_expression for the open head, a ResNet-50 on 224 pixels, E_flame frozen.

Paper: EMOCA (arXiv:2204.11312), section 3.2; learning rate as there, terms as in emoca_coarse_tiny.py. Goes on from
deca_coarse_small.py.
Command: python scripts/train.py --config=configs/open/emoca_coarse_small.py --folder=runs/emoca
    --config.start=runs/deca --config.data.train="('datasets',)" --config.data.held_out=datasets
Without the emotion loss: --config.weights.emotion=0. Its weight and the prior on units are those that validation people
chose for the tiny stage, whose networks are others: try them again before you believe in them.
Compiled for eight H100s (--dry_run --for h100): 491 MiB of state, 516 MiB and 258 GFLOP a step on each.
Expected: NOBODY HAS RUN IT AT THIS SIZE; three steps of 4 faces came through on a CPU. Sized for 8 minutes at 1,000
images/s (64 x 7,000 = 448,000 images), which is the goal and has not been measured.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import emoca_coarse_tiny
from configs.open.deca_pretrain_small import sized_for_a_gpu


def get_config() -> ConfigDict:
    config: Any = emoca_coarse_tiny.get_config()
    sized_for_a_gpu(config, steps=7_000)
    config.batch, config.rate = 64, 5e-5
    return config
