"""DECA's first stage for one H100: a ResNet-50 on 224 pixels learns E_flame for the open head from found landmarks.

Paper: DECA (arXiv:2012.04012), section 4.1; learning rate and weights as there but for PRIORS.
Command: python scripts/train.py --config=configs/open/deca_pretrain_small.py --folder=runs/pretrain
    --config.data.train="('datasets',)" --config.data.held_out=datasets
Data: as for the tiny stages, drawn larger (PLAN: "size": 320, "train": 40000).
Compiled for eight H100s (--dry_run --for h100): 396 MiB of state, 751 MiB and 382 GFLOP a step on each.
Expected: NOBODY HAS RUN IT AT THIS SIZE; three steps of 4 faces came through on a CPU. Sized for 8 minutes at 1,000
images/s (128 x 3,500 = 448,000 images), which is the goal and has not been measured.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.open import deca_coarse_tiny

LANDMARKS = {"landmarks_mediapipe": 1.0, "eyes_mediapipe": 1.0, "lips_mediapipe": 0.5}
"""DECA's weights, of MediaPipe's points in place of the 68."""
PRIORS = {"shape_prior": 5e-7, "expression_prior": 1e-5}
"""Sums over the batch, as the official code has them; smaller than its 1e-4, since 200 identity directions and 52 units
share what is seen, and 468 points tell more of them than 68."""


def get_config() -> ConfigDict:
    config: Any = deca_coarse_tiny.get_config()
    config.name = "deca_pretrain"
    config.weights = ConfigDict(LANDMARKS | PRIORS)
    sized_for_a_gpu(config, steps=3_500)
    config.batch, config.rate = 128, 1e-4
    return config


def sized_for_a_gpu(config: Any, *, steps: int) -> None:
    """What all small stages share: the backbone, finer pictures, the length of a run."""
    config.backbone = "resnet50"
    # Faces fill half to three quarters of the pictures.
    config.data.side, config.data.threads, config.data.ahead = 320, 12, 4
    config.warm_up = steps // 20
    config.schedule = config.settings.steps = steps
    config.settings.log_every, config.settings.save_every, config.settings.evaluate_every = 50, 1_000, 1_000
    config.settings.decay = 0.999
