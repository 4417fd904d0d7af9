"""DECA's detail stage: E_detail and D_detail for FLAME on photos of known people, everything coarse frozen.

Paper: DECA (arXiv:2012.04012), section 3.4 and its released configuration: Adam 1e-4, 2 people of 3 photos, photometric
error and ID-MRF in uv space, details exchanged between photos of a person. VGGFace2-HQ packaged by
`data_pipelines.build` (no landmarks are needed; the head's outline is the mask, where DECA segmented photos); FLAME,
its maps, DECA's E_flame and VGG-19 converted by `emoca convert`.
Command: python scripts/train.py --config=configs/deca_detail.py --folder=runs/deca_detail --config.model=models/deca
    --config.data.folder=datasets
Expected: nobody has run it yet in this project, on no GPU: its step compiles for eight H100 (tests/accelerators), its
loss and the gradient to every code it trains are the official code's (scripts/check_parity.py --only fullloss_detail).
"""

from typing import Any

from ml_collections import ConfigDict

from configs import deca_coarse
from emoca_jax.objectives.detail import DECA_DETAIL_WEIGHTS


def get_config() -> ConfigDict:
    config: Any = deca_coarse.get_config()
    config.stage, config.name = "detail_on_photos", "deca_detail"
    del config.trained, config.mask_kind, config.same_shape, config.start_flame
    # Pictures whole; True cuts faces out where `data_pipelines.found` found them.
    config.data.found = False
    config.weights = ConfigDict(DECA_DETAIL_WEIGHTS)
    config.same_detail, config.per_identity = "exchange", 3
    # Whether to go on from the folder's E_detail and D_detail, where it has them.
    config.start_detail = False
    # Coarse normals outside of the face.
    config.blend = True
    config.batch = 6
    config.rate = 1e-4
    config.settings.steps = 200_000
    return config
