"""Swin-B on AffectNet, as EMOCA's release has it beside the ResNet-50 (configs/emotion_resnet50.py: data, losses).

Paper: Swin Transformer (arXiv:2103.14030), section 3.3; training as EMOCA's emotion network.
Command: python scripts/train.py --config=configs/emotion_swin.py --folder=runs/emotion_swin \
    --config.data.folder=datasets [--config.start=converted]
Expected: never run on AffectNet. 87 million parameters; `--config.settings.accumulate=4` sees a batch in parts.
"""

from ml_collections import ConfigDict

from configs import emotion_resnet50


def get_config() -> ConfigDict:
    config = emotion_resnet50.get_config()
    config.network = "swin"
    return config
