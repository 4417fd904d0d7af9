"""EMOCA's detail stage in small, for the open head: wrinkles on a coarse face with EMOCA's expression.

Paper: EMOCA (arXiv:2204.11312), section 3.2: as DECA's (configs/open/deca_detail_tiny.py), whose networks it goes on
with. Coarse normals stay outside of the face, where EMOCA has dense ones: at every seam of the open head's layout
those of the grid are wrong.
Command: python scripts/train.py --config=configs/open/emoca_detail_tiny.py --folder=runs/emoca_detail
    --config.start=runs/emoca --config.start_detail=runs/deca_detail
    --config.data.train="('datasets',)" --config.data.held_out=datasets
Expected: 3.2 minutes of a processor; error .0761 where coarse normals have .0766 (docs/training.md).
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import deca_detail_tiny


def get_config() -> ConfigDict:
    config: Any = deca_detail_tiny.get_config()
    config.name = "emoca_detail"
    config.schedule = config.settings.steps = config.settings.evaluate_every = 200
    config.rate = 2e-3
    return config
