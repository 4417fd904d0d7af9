"""The picture reader that ships: its arithmetic, what it sees, and how its training brings maps to one scale."""

from importlib import resources
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from emoca_jax.emotion.pictures import load_picture_reader
from emoca_jax.nets.emotion.frozen import MAPS
from emoca_jax.nets.emotion.picture_reader import PictureReader

FACES = 3


@pytest.fixture(scope="module")
def looks():
    """Maps, and units off landmarks, of faces that are none."""
    random = np.random.default_rng(0)
    maps = {name: random.normal(size=(FACES, cells, cells, count)) for name, (cells, count) in MAPS.items()}
    return {name: x.astype(np.float32) for name, x in maps.items()}, random.random((FACES, 52)).astype(np.float32)


def test_it_is_a_plain_network(looks):
    weights = {
        name: array.astype(float)
        for name, array in np.load(str(resources.files("emoca_jax") / "assets" / "picture_reader.npz")).items()
    }

    def dense(name, x):
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    maps, units = looks
    parts = [4 * units] + [np.maximum(dense(name, maps[name]), 0).reshape(FACES, -1) for name in sorted(maps)]
    x = dense("hidden", np.concatenate(parts, axis=1))
    # GELU's usual approximation (Hendrycks and Gimpel 2016) is within 5e-4 of x Phi(x).
    x = x * (1 + erf(x / np.sqrt(2))) / 2
    affect: Any = PictureReader().apply(load_picture_reader(), *looks)
    told = dense("affect", x)
    np.testing.assert_allclose(affect.affect.expression_logits, told[:, :8], atol=0.02)
    np.testing.assert_allclose(affect.affect.valence, told[:, 8], atol=0.02)
    np.testing.assert_allclose(affect.affect.arousal, told[:, 9], atol=0.02)
    np.testing.assert_allclose(affect.unit_logits, dense("units", x), atol=0.02)


def test_what_learned_from_levelled_maps_reads_maps_as_they_come(looks):
    pytest.importorskip("grain", reason="grain has no wheel here")
    from data_pipelines.frozen_sets import flat_maps
    from scripts.train_picture_reader import levelled, maps_of, spread_of, unlevelled

    maps, units = looks
    loud = {name: 7 * x + 3 for name, x in maps.items()}
    flat = np.asarray(flat_maps(jax.tree.map(jnp.asarray, loud)))
    back = maps_of(jnp.asarray(flat))
    assert all((np.asarray(back[name]) == loud[name]).all() for name in MAPS)
    spread = spread_of(flat)
    network = PictureReader()
    parameters: Any = network.init(jax.random.key(0), back, units)["params"]
    as_learned: Any = network.apply({"params": parameters}, levelled(back, spread), units)
    as_shipped: Any = network.apply({"params": unlevelled(parameters, spread)}, back, units)
    np.testing.assert_allclose(as_shipped.unit_logits, as_learned.unit_logits, atol=2e-4)
    level = levelled(back, spread)["mesh"]
    np.testing.assert_allclose(np.asarray(level).mean((0, 1, 2)), 0, atol=1e-4)
