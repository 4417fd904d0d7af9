"""DECA's detail stage for one H100: E_detail as a ResNet-50 on 224 pixels, D_detail to 256 x 256 texels, open head.

Paper: DECA (arXiv:2012.04012), section 3.4; terms as in deca_detail_tiny.py. Goes on from deca_coarse_small.py.
Command: python scripts/train.py --config=configs/open/deca_detail_small.py --folder=runs/deca_detail
    --config.start=runs/deca --config.data.train="('datasets',)" --config.data.held_out=datasets
Compiled for eight H100s (--dry_run --for h100): 519 MiB of state, 468 MiB and 183 GFLOP a step on each.
Expected: NOBODY HAS RUN IT AT THIS SIZE; three steps of 4 faces came through on a CPU. How fast it is has not been
measured (32 x 7,000 = 224,000 images).
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import deca_detail_tiny
from configs.open.deca_pretrain_small import sized_for_a_gpu
from emoca_jax.nets.detail_decoder import BLOCKS


def get_config() -> ConfigDict:
    config: Any = deca_detail_tiny.get_config()
    sized_for_a_gpu(config, steps=7_000)
    config.blocks = BLOCKS
    config.batch, config.rate = 32, 1e-4
    # A sum over 64 photos of 256 x 256 texels, in place of 16 of 128 x 128.
    config.weights.asymmetry /= 16
    return config
