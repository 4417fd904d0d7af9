"""The coarse stage on one and on eight devices (simulated): prints losses and what was learned as JSON."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np

from tests.training import coarse_toy


def told(devices: int) -> dict[str, Any]:
    minimised = coarse_toy.coarse(same_shape="exchange", per_identity=2)
    stage = coarse_toy.stage(minimised, minimised.encoders.start, rate=1e-3)
    state, losses = coarse_toy.steps(stage, 3, coarse_toy.examples(16), devices=devices)
    kept = {"trained": state.trained, "statistics": state.statistics}
    leaves = {
        jax.tree_util.keystr(path): np.asarray(leaf).ravel()[:300].tolist()
        for path, leaf in jax.tree.leaves_with_path(kept)
    }
    return {"losses": losses, "state": leaves}


if __name__ == "__main__":
    print(json.dumps({"alone": told(1), "together": told(8)}))
