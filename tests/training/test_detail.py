"""The detail stage: wrinkles learn, everything coarse stays bit for bit, and a person's details are exchanged."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from emoca_jax.codes import Codes
from emoca_jax.detail import detail_model
from emoca_jax.errors import InputError
from emoca_jax.model import decode
from emoca_jax.nets.detail_decoder import DetailDecoder
from emoca_jax.nets.emotion.open import load_expression_networks
from emoca_jax.nets.encoders import DETAIL_OUTPUTS, Encoder
from emoca_jax.nets.open_encoder import OPEN_SIZE
from emoca_jax.objectives.detail import EMOCA_DETAIL_WEIGHTS, DetailBatch, detail_objective
from emoca_jax.training.stages.detail import Detailing, detail_stage, whole_loss
from emoca_jax.training.stages.detail_networks import DECODER, DETAIL, DetailNetworks
from emoca_jax.training.stages.encoders import EXPRESSION, FLAME, TRUNK
from emoca_jax.training.stages.pictures import WITH_DETAIL
from tests.flame.small_head import EXPRESSIONS
from tests.training import coarse_toy

# VGG's weights do not ship.
WEIGHTS = {name: weight for name, weight in EMOCA_DETAIL_WEIGHTS.items() if name != "mrf"}
LATENT = 3 + EXPRESSIONS + DETAIL_OUTPUTS

PAPERS = DetailNetworks(LATENT, size=OPEN_SIZE)
SMALL = DetailNetworks(LATENT, blocks=(8,), reads_trunk=True, size=OPEN_SIZE)
"""A reader of the trunk, and maps of 16 texels."""


def codes_of(*, expression: jax.Array) -> Codes:
    """Heads from the front with nothing but an expression."""
    nothing = [jnp.zeros((len(expression), *size)) for size in ((4,), (2, 3), (3,), (2, 3), (3,), (9, 3), (2,))]
    shape, pose, jaw, eyes, camera, light, albedo = nothing
    return Codes(shape, expression, pose, jaw, eyes, camera, light, albedo)


def detailing(networks: DetailNetworks = PAPERS, **options: Any) -> Detailing:
    coarse = coarse_toy.coarse()
    mask = jnp.ones((networks.side, networks.side))
    model = detail_model(coarse.head, {}, mask, 0 * mask)
    return Detailing(coarse.head, coarse.encoders, model, WEIGHTS, networks=networks, **options)


def begun(networks: DetailNetworks) -> tuple[Any, Any]:
    encoders = detailing().encoders
    emoca = encoders.with_expression(*encoders.start(jax.random.key(4)))
    return networks.start(*emoca, jax.random.key(5))


@pytest.fixture(scope="module")
def start() -> tuple[Any, Any]:
    return begun(PAPERS)


@pytest.mark.slow
def test_a_reader_of_the_trunk_learns_wrinkles_and_all_else_stays_bit_for_bit() -> None:
    learns_and_keeps(detailing(SMALL), begun(SMALL), steps=2)


@pytest.mark.thorough
def test_wrinkles_reach_every_layer_of_both_networks_and_none_that_is_frozen() -> None:
    """Without drawing, which only slows this down: a map that should be another pulls at all that made it."""
    trunk = {TRUNK: {"dense": load_expression_networks()["params"]["dense"]}}
    parameters, statistics = SMALL.start(trunk, {}, jax.random.key(5))
    count, draw = 3, np.random.default_rng(1)
    images, wanted = (jnp.asarray(draw.uniform(size=(count, *size)), jnp.float32) for size in ((112, 112, 3), (16, 16)))
    still = codes_of(expression=jnp.zeros((count, EXPRESSIONS)))

    @jax.jit
    @jax.grad
    def pull(parameters: Any) -> Any:
        told, _ = SMALL.encode(parameters, statistics, images, train=True)
        maps, _ = SMALL.displace(parameters, statistics, still.replace(detail=told), train=True)
        return jnp.mean(jnp.square(maps - 0.01 * wanted))

    for name, part in pull(parameters).items():
        reached = [bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(part)]
        assert all(reached) if name in (DETAIL, DECODER) else not any(reached), name


@pytest.mark.thorough
def test_a_run_shows_wrinkles_beside_the_coarse_shape() -> None:
    """In a column of their own, which no displacement would leave like the other, and people at rest have none."""
    minimised, state = detailing(SMALL), begun(SMALL)
    batch = coarse_toy.examples(2)
    stage = detail_stage("toy", minimised, state, optax.adam(1e-4), lambda: [batch])
    shown = stage.show(*state)
    assert shown is not None and shown.columns == WITH_DETAIL
    photo, _, coarse, detail, rest = np.split(shown.picture.astype(int), 5, axis=1)
    np.testing.assert_array_equal(photo, batch["images"].reshape(photo.shape))
    assert np.abs(detail - coarse).max() > 3 and np.ptp(coarse) > 20
    assert np.ptp(rest) > 20


# ResNet-50s and maps of 256 texels take a minute to compile.
@pytest.mark.slow
def test_wrinkles_learn_and_all_that_is_coarse_stays_bit_for_bit(start: tuple[Any, Any]) -> None:
    learns_and_keeps(detailing(), start, steps=6)


def learns_and_keeps(minimised: Detailing, start: tuple[Any, Any], *, steps: int) -> None:
    """Every leaf of both detail networks moves, none of any other."""
    stage = detail_stage("toy", minimised, start, optax.adam(1e-4), list)
    state, losses = coarse_toy.steps(stage, steps, coarse_toy.examples(4))
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


@pytest.mark.slow
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
