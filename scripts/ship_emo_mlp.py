"""Puts a trained EMO-MLP for the open head where the package finds it, emoca_jax/assets/emo_mlp_open.npz:

    python benchmarks/emotion_from_fits.py runs/fits.npz --faces 640
    python scripts/train.py --config=configs/open/emo_mlp.py --folder=runs/open_emo_mlp --config.fits=runs/fits.npz
    python scripts/ship_emo_mlp.py runs/open_emo_mlp/network.npz runs/fits.npz

Batch norms are folded into the layers before them, and the classes' logits divided by the temperature at which the
fitted faces of the second file that choose are likeliest (Guo et al., arXiv:1706.04599): of those that taught it how
units are told it is too sure.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.open_faces.codes import CHOOSING, JUDGING, read_fits
from emoca_jax.emotion.units import ARKIT_UNITS, ASSET, LAYERS, read_units
from emoca_jax.evaluation.emotion import temperature
from emoca_jax.nets.batch_norm import TORCH_EPSILON
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES
from emoca_jax.nets.weights import Parameters, load_weights, save_weights

ASSETS = Path(__file__).parents[1] / "emoca_jax" / "assets"
CLASSES = len(AFFECTNET_CLASSES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("fits", type=Path)
    arguments = parser.parse_args()
    plain, fits = folded(dict(np.load(arguments.network))), read_fits(arguments.fits)
    chosen_on = jnp.asarray(fits["fitted"][CHOOSING], jnp.float32)
    shares = jax.nn.softmax(read_units(plain, chosen_on, ARKIT_UNITS).expression_logits)
    heat = temperature(np.asarray(shares), fits["label"][CHOOSING], floor=0.0)
    path = ASSETS / f"{ASSET}.npz"
    save_weights(path, cooled(plain, heat))
    read = read_units(load_weights(path), jnp.asarray(fits["fitted"], jnp.float32), ARKIT_UNITS)
    right = (np.asarray(read.expression_logits).argmax(-1) == fits["label"])[JUDGING]
    description = {
        "format": 1,
        "what": "half-float weights of emoca_jax.emotion.units: EMO-MLP on the open head's units, batch norms folded",
        "sources": {"training": "configs/open/emo_mlp.py (faces of data_pipelines/open_faces, nobody's photos)"},
        "licence": "Apache-2.0",
        "temperature": round(heat, 3),
        "other_fitted_faces": {"count": len(right), "accuracy": round(float(right.mean()), 3)},
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(description, indent=2) + "\n")
    print(json.dumps(description, indent=2))


def folded(arrays: dict[str, np.ndarray]) -> Parameters:
    """Dense layers that do what those and the batch norms behind them did."""
    layers = {}
    for index in range(LAYERS):
        norm = {name: arrays[f"params/norm{index}/{name}"] for name in ("scale", "bias")}
        mean, variance = (arrays[f"batch_stats/norm{index}/{name}"] for name in ("mean", "var"))
        scale = norm["scale"] / np.sqrt(variance + TORCH_EPSILON)
        kernel, bias = (arrays[f"params/hidden{index}/{name}"] for name in ("kernel", "bias"))
        layers[f"hidden{index}"] = {"kernel": kernel * scale, "bias": (bias - mean) * scale + norm["bias"]}
    layers["output"] = {name: arrays[f"params/output/{name}"] for name in ("kernel", "bias")}
    return {"params": layers}


def cooled(network: Parameters, heat: float) -> Parameters:
    """With logits divided by a temperature; valence and arousal stay."""
    share = np.where(np.arange(CLASSES + 2) < CLASSES, 1 / heat, 1.0).astype(np.float32)
    output = {name: array * share for name, array in network["params"]["output"].items()}
    return {"params": {**network["params"], "output": output}}


if __name__ == "__main__":
    main()
