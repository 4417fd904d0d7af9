"""EMOCA's detail stage: E_detail and D_detail for FLAME, E_flame and E_expression frozen.

Paper: EMOCA (arXiv:2204.11312), section 3.2 and its released configuration: Adam 1e-4, 4 photos, 3 of a person, at most
12 epochs, patches of the face in uv space by photometric error 5 and ID-MRF 0.25. A batch here is one person's three
photos and another's: 6, since a batch is whole people. VGGFace2-HQ packaged by `data_pipelines.build`.
Command: python scripts/train.py --config=configs/emoca_detail.py --folder=runs/emoca_detail --config.model=models/emoca
    --config.start=runs/emoca --config.data.folder=datasets
Expected: nobody has run it yet in this project, on no GPU: its step compiles for eight H100 (tests/accelerators), its
loss and the gradient to every code it trains are the official code's (scripts/check_parity.py --only fullloss_detail).
"""

from typing import Any

from ml_collections import ConfigDict

from configs import deca_detail
from emoca_jax.objectives.detail import EMOCA_DETAIL_WEIGHTS


def get_config() -> ConfigDict:
    config: Any = deca_detail.get_config()
    config.name = "emoca_detail"
    config.weights = ConfigDict(EMOCA_DETAIL_WEIGHTS)
    # EMOCA's begins with DECA's.
    config.start_detail, config.blend = True, False
    # 12 epochs of some 1.4 million pictures.
    config.settings.steps = 2_800_000
    return config
