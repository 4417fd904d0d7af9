"""EMO-MLP for FLAME: expression, valence and arousal from EMOCA's codes of AffectNet's faces, which stay as they are.

Paper: EMOCA (arXiv:2204.11312), section 3.4, supplementary material and its released configuration: shape, expression
and jaw (153 numbers), 4 layers of 2,048 with batch norm, Adam 1e-4, batches of 64, classes in turn, likelihood of the
class and a random mix of mean squares, 1 - PCC and 1 - CCC of valence and arousal; at most 50 epochs there, 20 of some
280,000 faces here (the best by the held-out faces are kept).
Data: python -m data_pipelines.pseudo_labels AFFECTNET/Manually_Annotated_Images --output labels --codes
    --model converted
Command: python scripts/train.py --config=configs/emo_mlp.py --folder=runs/emo_mlp --config.data.labels=labels
    --config.data.folder=AFFECTNET
Expected: never run on AffectNet, which cannot ship; steps on made-up codes and its made-up folder are tested. Published
for EMOCA's: V-CCC .77, A-CCC .68, accuracy .68 (SMIRK, table 1).
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.stage = "emotion_from_labelled_codes"
    config.network = ConfigDict({"layers": 4, "features": 2048})
    # Whether the detail code (128 numbers) is seen too.
    config.detail = False
    config.data = ConfigDict(
        {
            "name": "affectnet",
            # The official folder, of which the lists are read.
            "folder": "~/AffectNet",
            # What data_pipelines.pseudo_labels wrote, of all splits together.
            "labels": "labels",
            "train": "train_clean",
            "held_out": "validation_clean",
        }
    )
    config.batch = 64
    config.rate = 1e-4
    config.settings = ConfigDict(
        {
            "steps": 88_000,
            "seed": 0,
            "log_every": 100,
            "save_every": 2_000,
            "evaluate_every": 2_000,
            "accumulate": 1,
            "decay": config_dict.placeholder(float),
            "spread_parameters": False,
            "most_skipped": 10,
        }
    )
    return config
