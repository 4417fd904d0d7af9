"""The detail stage: wrinkles learn, everything coarse stays bit for bit, and a person's details are exchanged."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from emoca_jax.detail import detail_model
from emoca_jax.errors import InputError
from emoca_jax.model import decode
from emoca_jax.nets.detail_decoder import DetailDecoder
from emoca_jax.nets.encoders import DETAIL_OUTPUTS, Encoder
from emoca_jax.objectives.detail import EMOCA_DETAIL_WEIGHTS, DetailBatch, detail_objective
from emoca_jax.training.stages.detail import DECODER, DETAIL, Detailing, detail_stage, whole_loss, with_detail
from emoca_jax.training.stages.encoders import EXPRESSION, FLAME, TRUNK
from tests.flame.small_head import EXPRESSIONS
from tests.training import coarse_toy

# VGG's weights do not ship.
WEIGHTS = {name: weight for name, weight in EMOCA_DETAIL_WEIGHTS.items() if name != "mrf"}
UV_SIDE = 256
LATENT = 3 + EXPRESSIONS + DETAIL_OUTPUTS

# ResNet-50s and maps of 256 texels take a minute to compile.
pytestmark = pytest.mark.slow


def detailing(**options: Any) -> Detailing:
    coarse = coarse_toy.coarse()
    mask = jnp.ones((UV_SIDE, UV_SIDE))
    return Detailing(coarse.head, coarse.encoders, detail_model(coarse.head, {}, mask, 0 * mask), WEIGHTS, **options)


@pytest.fixture(scope="module")
def start() -> tuple[Any, Any]:
    encoders = detailing().encoders
    emoca = encoders.with_expression(*encoders.start(jax.random.key(4)))
    return with_detail(*emoca, jax.random.key(5), size=encoders.size, latent=LATENT)


def test_wrinkles_learn_and_all_that_is_coarse_stays_bit_for_bit(start: tuple[Any, Any]) -> None:
    stage = detail_stage("toy", detailing(), start, optax.adam(1e-4), list)
    state, losses = coarse_toy.steps(stage, 6, coarse_toy.examples(4))
    parameters, statistics = start
    coarse = (TRUNK, FLAME, EXPRESSION)
    jax.tree.map(np.testing.assert_array_equal, dict(state.frozen), {name: parameters[name] for name in coarse})
    for name in (FLAME, EXPRESSION):
        jax.tree.map(np.testing.assert_array_equal, state.statistics[name], statistics[name])
    assert set(state.trained) == {DETAIL, DECODER}
    for name in (DETAIL, DECODER):
        jax.tree.map(assert_moved, state.trained[name], parameters[name])
        jax.tree.map(assert_moved, state.statistics[name], statistics[name])
    assert losses[-1] < losses[0], losses


def test_a_persons_details_are_exchanged_and_the_rest_is_not(start: tuple[Any, Any]) -> None:
    """By the objective itself: each photo twice, with its own detail code and with its own or the other's again."""
    batch = {name: jnp.asarray(array) for name, array in coarse_toy.examples(2).items()}
    both = detailing(same_detail="exchange", per_identity=2)
    parameters, statistics = start
    # Networks that have learned nothing tell of two pictures almost the same, and that is flat.
    for network, layer, factor in ((DETAIL, "head", 1000.0), (DECODER, "last", 100.0)):
        more = jax.tree.map(lambda leaf, factor=factor: factor * leaf, parameters[network][layer])
        parameters = {**parameters, network: {**parameters[network], layer: more}}
    # White light from everywhere shows no wrinkles.
    head = dict(parameters[FLAME]["head"])
    head["bias"] = jnp.asarray(np.random.default_rng(2).normal(0, 0.5, head["bias"].shape).astype(np.float32))
    parameters = {**parameters, FLAME: {**parameters[FLAME], "head": head}}
    images = batch["images"].astype(jnp.float32) / 255
    codes = both.encoders.encode(parameters, statistics, images, trained=None).codes
    variables = {name: {"params": parameters[name], "batch_stats": statistics[name]} for name in (DETAIL, DECODER)}
    told: Any = Encoder(DETAIL_OUTPUTS).apply(variables[DETAIL], images, train=True, mutable="batch_stats")
    twice = np.array([0, 0, 1, 1])
    codes, seen = jax.tree.map(lambda leaf: leaf[twice], (codes, DetailBatch(images, batch["mask"])))

    def terms(rows: list[int]) -> dict[str, Any]:
        details = told[0][np.array(rows)]
        latent = jnp.concatenate([codes.jaw, codes.expression, details], axis=-1)
        maps: Any = DetailDecoder().apply(variables[DECODER], latent, train=True, mutable="batch_stats")
        found = decode(
            both.head, codes.replace(detail=details), images.shape[1:3], detail=both.model, displacement=maps[0]
        )
        return detail_objective(both.head, both.model, found, seen, None, WEIGHTS).terms

    kept, exchanged = terms([0, 0, 1, 1]), terms([0, 1, 1, 0])
    # The size of all displacements is the same whomever they are given to.
    name = "photometric"
    assert abs(kept[name] - exchanged[name]) > 3e-5 * kept[name]
    found = [
        whole_loss(both, parameters, statistics, batch, jax.random.key(seed), train=True)[0].terms for seed in range(6)
    ]
    nearest = [min((kept, exchanged), key=lambda one, own=own: abs(one[name] - own[name])) for own in found]
    assert any(one is kept for one in nearest) and any(one is exchanged for one in nearest)
    for own, expected in zip(found, nearest, strict=True):
        for term in WEIGHTS:
            np.testing.assert_allclose(own[term], expected[term], rtol=5e-6, err_msg=term)
    with pytest.raises(InputError, match="give per_identity of 2 or more"):
        detail_stage("toy", both._replace(per_identity=1), start, optax.adam(1e-3), list)


def assert_moved(after: Any, before: Any) -> None:
    assert np.any(np.asarray(after) != np.asarray(before))
