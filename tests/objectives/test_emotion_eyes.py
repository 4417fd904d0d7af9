"""The eyes of emotion consistency: what is compared, beside numbers worked out by hand, and which eye a run is."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.errors import InputError
from emoca_jax.nets.emotion.crop import crop_image, expression_crop
from emoca_jax.nets.emotion.on_open import CHANNELS, HIDDEN, MapsReader
from emoca_jax.nets.emotion.open import MEAN_COLOUR, DenseExpression, load_expression_networks
from emoca_jax.objectives.emotion_eyes import EYES, ON_OPEN_EYE, SMALL_EYE, eye_of


def norm(size: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and statistics of a batch norm that halves: variance 4."""
    ones, zeros = np.ones(size, np.float32), np.zeros(size, np.float32)
    return {"scale": ones, "bias": zeros}, {"mean": zeros, "var": 4 * ones}


def test_the_eye_on_open_layers_compares_the_hidden_layer_of_an_upright_crop() -> None:
    """Against NumPy: kernels whose centre alone is set sample every other place."""
    draw = np.random.default_rng(0)
    fine, coarse = draw.normal(size=(128, CHANNELS)), draw.normal(size=(256, 2 * CHANNELS))
    hidden = draw.normal(size=(49 * 3 * CHANNELS, HIDDEN)) / 50
    kernel = np.zeros((3, 3, *fine.shape))
    kernel[1, 1] = fine
    norms = {name: norm(size) for name, size in (("fine", CHANNELS), ("coarse", 2 * CHANNELS), ("norm", HIDDEN))}
    trunk = load_expression_networks()["params"]["dense"]
    head = {
        "fine": {"conv": {"kernel": kernel}, "norm": norms["fine"][0]},
        "coarse": {"conv": {"kernel": coarse[None, None]}, "norm": norms["coarse"][0]},
        "hidden": {"kernel": hidden, "bias": np.zeros(HIDDEN)},
        "norm": norms["norm"][0],
        "affect": {"kernel": np.zeros((HIDDEN, 10)), "bias": np.arange(10)},
        "units": {"kernel": np.zeros((HIDDEN, 52)), "bias": np.zeros(52)},
    }
    statistics = {"fine": {"norm": norms["fine"][1]}, "coarse": {"norm": norms["coarse"][1]}, "norm": norms["norm"][1]}
    picture = jnp.asarray(draw.uniform(size=(1, 40, 40, 3)), jnp.float32)
    landmarks = jnp.asarray(draw.uniform(-0.5, 0.5, (1, 478, 3)), jnp.float32)
    variables = {"params": {"dense": trunk, "head": head}, "batch_stats": {"head": statistics}}
    variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), variables)
    read = jax.jit(ON_OPEN_EYE.read)(variables, picture, landmarks)

    @jax.jit
    def looked_at() -> Any:
        crop = jax.vmap(crop_image)(picture, expression_crop(landmarks))
        return DenseExpression().apply({"params": trunk}, crop - jnp.array(MEAN_COLOUR)[None, None, None] / 255)

    seen = looked_at()
    maps = [np.asarray(one[0], np.float64) for one in seen.maps[-2:]]
    halved = 1 / np.sqrt(4 + 1e-5)
    parts = [np.maximum(maps[0][::2, ::2] @ fine * halved, 0), np.maximum(maps[1] @ coarse * halved, 0)]
    expected = np.maximum(np.concatenate([part.ravel() for part in parts]) @ hidden * halved, 0)
    assert expected.std() > 0.01
    np.testing.assert_allclose(read.features[0], expected, rtol=1e-3, atol=1e-4 * expected.max())
    # What the trunk saw before, read by what alone is trained, is the same.
    kept = jnp.concatenate([one.reshape(1, -1) for one in seen.maps[-2:]], axis=-1)
    alone = {kind: {"head": tree["head"]} for kind, tree in variables.items()}
    reread: Any = MapsReader().apply(alone, kept)
    np.testing.assert_allclose(reread.features, read.features, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(read.expression_logits[0], np.arange(8))
    assert read.valence is not None and read.arousal is not None
    assert (float(read.valence[0]), float(read.arousal[0])) == (8, 9)


def test_a_run_is_known_by_its_layers() -> None:
    assert eye_of({"params": {"dense": {}, "head": {}}}) is ON_OPEN_EYE is EYES["on_open"]
    assert eye_of({"params": {"stem": {}, "units": {}, "affect": {}}}) is SMALL_EYE
    for variables in ({}, {"params": {"flame": {}}}, {"params": {"dense": {}, "xception": {}}}):
        with pytest.raises(InputError, match="feels no emotion"):
            eye_of(variables)
