"""EMOCA's coarse stage in small: E_expression for the open head, E_flame frozen, with emotion consistency.

Paper: EMOCA (arXiv:2204.11312), section 3.2: relative landmarks only. E_expression says how units differ from those
that the encoder of landmarks tells: not at all before anything is learned. Goes on from
configs/open/deca_coarse_tiny.py.
Command: python scripts/train.py --config=configs/open/emoca_coarse_tiny.py --folder=runs/emoca
    --config.start=runs/deca --config.data.train="('datasets',)" --config.data.held_out=datasets
Without the emotion loss: --config.weights.emotion=0.
Expected: docs/reproduction.md; 4.1 minutes of a processor, 1.6 without the emotion loss.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import deca_coarse_tiny


def get_config() -> ConfigDict:
    config: Any = deca_coarse_tiny.get_config()
    config.name, config.trained = "emoca_coarse", "expression"
    config.weights = ConfigDict(
        {
            # The paper's 1 is for 2,048 features. Chosen by validation people, of .005 to 2, with a recogniser of
            # emotion_on_open.py; of .1 and .4 with emotion_on_renderings.py .4 (docs/reproduction.md).
            "emotion": 0.005,
            # Of what differs from the batch's mean, in place of it (docs/reproduction.md).
            "emotion_centred": 0.0,
            # 1 - cos of the features, in place of their squared distance: 1.6, with a level E_expression and
            # emotion_on_renderings.py, is the form with which the claim holds (docs/reproduction.md).
            "emotion_cosine": 0.0,
            "photometric": 2.0,
            "eyes_mediapipe": 0.5,
            "lips_mediapipe": 0.5,
            "mouth_corners_mediapipe": 0.5,
            # Of 3e-4 and 1e-5 the one with which validation people's emotion is better kept without the emotion loss.
            "expression_prior": 1e-5,
        }
    )
    config.batch = 16
    config.rate = 5e-4
    config.schedule = config.settings.steps = config.settings.evaluate_every = 300
    return config
