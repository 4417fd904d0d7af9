"""EMO-MLP for the open head: emotion from its 52 units, learned from open faces, none of which is drawn.

Paper: EMOCA (arXiv:2204.11312), section 3.4 and supplementary material, in small: 2 layers of 256 where the official
one has 4 of 2,048 for FLAME's codes.
Command: python scripts/train.py --config=configs/open/emo_mlp.py --folder=runs/open_emo_mlp --config.fits=runs/fits.npz
Expected: V-CCC .987, A-CCC .977, accuracy .998 on 4,000 other faces' true codes;
2.5 minutes on two cores, 30 s of them steps.
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.stage = "emotion_from_codes"
    config.network = ConfigDict({"layers": 2, "features": 256})
    # `data_pipelines.open_faces.codes.Misfit`.
    config.misfit = ConfigDict({"weakest": 0.3, "strongest": 1.15, "lost": 0.12, "stray": 0.2, "stray_strength": 0.12})
    # Faces that `emoca reconstruct` and the reader of landmarks told (benchmarks/emotion_from_fits.py), and for which
    # shares of a batch units come as these two tell them; without the file `misfit` changes all.
    config.fits = config_dict.placeholder(str)
    config.told = ConfigDict({"fitted": 0.2, "read": 0.2})
    config.data = ConfigDict({"train": 40_000, "held_out": 4_000, "seed": 1, "held_out_seed": 2})
    config.batch = 256
    config.rate = 1e-3
    config.settings = ConfigDict(
        {
            "steps": 4_000,
            "seed": 0,
            "log_every": 50,
            "save_every": 500,
            "evaluate_every": 500,
            "accumulate": 1,
            "decay": config_dict.placeholder(float),
            "spread_parameters": False,
            "most_skipped": 10,
        }
    )
    config.settings.decay = 0.999
    return config
