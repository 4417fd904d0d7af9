"""DECA's first stage: E_flame for FLAME from landmarks alone; nothing is drawn.

Paper: DECA (arXiv:2012.04012), section 4.1 and its released configuration: Adam 1e-4, 64 photos of as many people, two
epochs of 2 million photos; landmarks (weighted), eyes and lips as in the coarse stage, and what keeps shape and
expression small. (The paper's text gives landmarks 1e-4, its configuration 1, as here.) DECA's ResNet-50 began with
ImageNet's weights, this one with random numbers. The data are those of configs/deca_coarse.py, whose run goes on from
here.
Data: python -m data_pipelines.found vggface2_hq train --data_dir datasets, the same for validation
Command: python scripts/train.py --config=configs/deca_pretrain.py --folder=runs/pretrain --config.model=models/emoca
    --config.data.folder=datasets
Expected: nobody has run it yet in this project: the data need a licence. Steps of it on made-up photos are tested
(tests/training/test_known_people.py); it compiles for eight H100 (tests/accelerators).
"""

from typing import Any

from ml_collections import ConfigDict

from configs import deca_coarse
from emoca_jax.objectives.coarse import DECA_COARSE_WEIGHTS

TERMS = ("landmarks", "eyes", "lips", "shape_prior", "expression_prior")
"""Of DECA's coarse stage, with their weights there."""


def get_config() -> ConfigDict:
    config: Any = deca_coarse.get_config()
    config.name = "deca_pretrain"
    config.start_flame = False
    config.weights = ConfigDict({term: DECA_COARSE_WEIGHTS[term] for term in TERMS})
    config.same_shape, config.per_identity = "none", 1
    config.batch = 64
    config.settings.steps = 62_500
    return config
