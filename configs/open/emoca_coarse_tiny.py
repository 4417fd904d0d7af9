"""EMOCA's coarse stage in small: E_expression for the open head, E_flame frozen, with emotion consistency.

Paper: EMOCA (arXiv:2204.11312), section 3.2: relative landmarks only. E_expression starts as a copy of E_flame's
reader, with its rows for the expression. Goes on from configs/open/deca_coarse_tiny.py.
Command: python scripts/train.py --config=configs/open/emoca_coarse_tiny.py --folder=runs/emoca
    --config.start=runs/deca --config.data.train="('datasets',)" --config.data.held_out=datasets
Without the emotion loss: --config.weights.emotion=0.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import deca_pretrain_tiny


def get_config() -> ConfigDict:
    config: Any = deca_pretrain_tiny.get_config()
    config.name, config.trained = "emoca_coarse", "expression"
    config.weights = ConfigDict(
        {
            "emotion": 1.0,
            "photometric": 2.0,
            "eyes_mediapipe": 0.5,
            "lips_mediapipe": 0.5,
            "mouth_corners_mediapipe": 0.5,
            "expression_prior": 1e-5,
        }
    )
    config.batch = 16
    config.rate = 5e-4
    config.schedule = config.settings.steps = config.settings.evaluate_every = 400
    return config
