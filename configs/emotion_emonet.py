"""EmoNet's network on AffectNet with EMOCA's losses (configs/emotion_resnet50.py: data, losses).

Paper: Toisoul et al., Estimation of continuous valence and arousal levels from faces in naturalistic conditions (Nature
Machine Intelligence 2021): stacked hourglasses whose heat maps guide the emotion branch. Theirs start from landmark
weights; ours from emonet_8.pth, or from random numbers: then the heat maps are led by emotion alone.
Command: python scripts/train.py --config=configs/emotion_emonet.py --folder=runs/emotion_emonet \
    --config.data.folder=datasets --config.start=converted
Expected: never run on AffectNet. Published on its cleaned set: V-CCC .82, A-CCC .75, accuracy .75.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import emotion_resnet50


def get_config() -> ConfigDict:
    config: Any = emotion_resnet50.get_config()
    config.network = "emonet"
    # The only size that it takes.
    config.crop, config.data.side = 256, 328
    return config
