"""DECA's detail stage in small, for the open head: wrinkles as a displacement in uv space, everything coarse frozen.

Paper: DECA (arXiv:2012.04012), section 3.4: photometric error in uv space, details exchanged between photos of a
person, regularisers. No ID-MRF: VGG-19 has no open weights here. E_detail reads the frozen expression network that the
coarse readers read, on 112 pixels; D_detail makes 128 x 128 texels. Goes on from configs/open/deca_coarse_tiny.py.
Command: python scripts/train.py --config=configs/open/deca_detail_tiny.py --folder=runs/deca_detail
    --config.start=runs/deca --config.data.train="('datasets',)" --config.data.held_out=datasets
Expected: 6.2 minutes of a processor; colour error in uv space .0762 where coarse normals have .0767, on 608 faces of 80
people that nothing was trained on, but who chose the weights, most of it by one displacement for all: what
docs/training.md says (benchmarks/open_detail.py).
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import deca_coarse_tiny


def get_config() -> ConfigDict:
    config: Any = deca_coarse_tiny.get_config()
    config.stage, config.name = "detail_on_drawings", "deca_detail"
    del config.trained, config.eye, config.mask_kind, config.same_shape
    # A run's folder whose E_detail and D_detail to go on from; "" for networks that have learned nothing.
    config.start_detail = ""
    # D_detail's channels after each doubling of 8 texels a side.
    config.blocks = (64, 32, 16, 8)
    config.weights = ConfigDict(
        {
            # DECA's is 2, with ID-MRF beside it.
            "photometric": 5.0,
            # DECA's .005, and .02 too, let all displacements drift by millimetres, which no light shows.
            "displacement_size": 0.15,
            "shading_roughness": 0.005,
            # A sum over photos and texels. DECA's share of it, beside ID-MRF, leaves nothing but one constant here.
            "asymmetry": 0.0001,
        }
    )
    config.same_detail, config.per_identity = "exchange", 2
    config.batch = 8
    config.rate = 5e-3
    config.schedule = config.settings.steps = config.settings.evaluate_every = 500
    return config
