"""EMOCA's detail stage for one H100: as deca_detail_small.py, on a coarse face with EMOCA's expression.

Paper: EMOCA (arXiv:2204.11312), section 3.2; terms as in deca_detail_tiny.py, whose normals it has, too. Goes on from
emoca_coarse_small.py with the networks of deca_detail_small.py.
Command: python scripts/train.py --config=configs/open/emoca_detail_small.py --folder=runs/emoca_detail
    --config.start=runs/emoca --config.start_detail=runs/deca_detail
    --config.data.train="('datasets',)" --config.data.held_out=datasets
Its step is that of deca_detail_small.py beside one frozen encoder more.
Expected: NOBODY HAS RUN IT, and how fast it is has not been measured (32 x 3,500 = 112,000 images).
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import deca_detail_small
from configs.open.deca_pretrain_small import sized_for_a_gpu


def get_config() -> ConfigDict:
    config: Any = deca_detail_small.get_config()
    config.name = "emoca_detail"
    sized_for_a_gpu(config, steps=3_500)
    config.rate = 5e-5
    return config
