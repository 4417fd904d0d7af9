"""The coarse stages: what is frozen stays, what is trained learns, and E_expression begins where E_flame is."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from emoca_jax.errors import InputError
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.flame import load_head
from emoca_jax.jobs.landmark_encoders import landmark_encoders
from emoca_jax.nets.open_encoder import LEVEL
from emoca_jax.training.stages.coarse import as_seen, drawn_loss, whole_loss
from emoca_jax.training.stages.encoders import EXPRESSION, FLAME, TRUNK, OfficialEncoders
from scripts.train_coarse import groups_stay_together, open_encoders, started_from
from tests.training import coarse_toy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def deca() -> tuple[Any, list[float], Any]:
    """E_flame after some steps on one batch, the loss of each, and where it began."""
    minimised = coarse_toy.coarse()
    begin = minimised.encoders.start(jax.random.key(4))
    state, losses = coarse_toy.steps(coarse_toy.stage(minimised, begin), 12, coarse_toy.examples(4))
    return state, losses, begin


@pytest.mark.thorough
def test_e_flame_learns_and_the_trunk_stays_bit_for_bit(deca: tuple[Any, list[float], Any]) -> None:
    state, losses, (parameters, statistics) = deca
    assert losses[-1] < 0.8 * losses[0], losses
    jax.tree.map(np.testing.assert_array_equal, dict(state.frozen), {TRUNK: parameters[TRUNK]})
    jax.tree.map(_assert_moved, state.trained[FLAME], parameters[FLAME])
    jax.tree.map(_assert_moved, state.statistics[FLAME], statistics[FLAME])


@pytest.mark.thorough
def test_e_expression_alone_learns_from_e_flames_answer_on(deca: tuple[Any, list[float], Any]) -> None:
    state, _, _ = deca
    # Points and priors alone, in which the head's expression shows.
    minimised, batch = coarse_toy.coarse(EXPRESSION, coarse_toy.LANDMARKS), coarse_toy.examples(4)
    before = {**state.frozen, **state.trained}, state.statistics
    start = minimised.encoders.with_expression(*before)
    told = [_codes(minimised, where, batch).expression for where in (before, start)]
    np.testing.assert_allclose(*told, atol=1e-6)
    after, losses = coarse_toy.steps(coarse_toy.stage(minimised, start), 8, batch)
    assert losses[-1] < losses[0]
    jax.tree.map(np.testing.assert_array_equal, dict(after.frozen), {name: start[0][name] for name in (TRUNK, FLAME)})
    jax.tree.map(np.testing.assert_array_equal, after.statistics[FLAME], start[1][FLAME])
    jax.tree.map(_assert_moved, after.trained[EXPRESSION], start[0][EXPRESSION])
    # No moments of what is frozen.
    assert len(jax.tree.leaves(after.moments)) == 1 + 2 * len(jax.tree.leaves(after.trained))


@pytest.mark.thorough
def test_one_shape_serves_all_images_of_a_person(deca: tuple[Any, list[float], Any]) -> None:
    """Exchanged shapes cost what each image costs with either shape; "same" what all cost with the mean."""
    state, _, _ = deca
    before, batch = ({**state.frozen, **state.trained}, state.statistics), coarse_toy.examples(4)
    plain = coarse_toy.coarse(weights={"landmarks_mediapipe": 1.0})
    codes, seen = _codes(plain, before, batch), as_seen({name: jnp.asarray(array) for name, array in batch.items()})
    swapped = codes.replace(shape=codes.shape[np.array([1, 0, 3, 2])])
    mean = codes.replace(shape=jnp.repeat(codes.shape.reshape(2, 2, -1).mean(axis=1), 2, axis=0))
    cost = jax.jit(lambda codes: drawn_loss(plain, codes, seen).total)
    own, other, same = (float(cost(one)) for one in (codes, swapped, mean))
    assert abs(own - other) > 1e-4
    of_mean, exchanged = (
        _losses(plain._replace(same_shape=kind, per_identity=2), before, batch, range(12))
        for kind in ("same", "exchange")
    )
    assert of_mean == pytest.approx(12 * [same], rel=1e-5)
    # Each pair is exchanged or not, so the second half costs something from own to other.
    exchanged = {round(2 * loss - own, 4) for loss in exchanged}
    assert min(abs(value - other) for value in exchanged) < 2e-4
    with pytest.raises(InputError, match="give per_identity of 2 or more"):
        coarse_toy.stage(plain._replace(same_shape="same"), before)


def test_found_landmarks_reach_the_encoders_and_what_the_head_is_held_to() -> None:
    """Points that would be found where they were found cost nothing, wherever the head's own lie."""
    batch = {name: jnp.asarray(array) for name, array in coarse_toy.examples(2).items()}
    plain = coarse_toy.coarse(weights={"landmarks_mediapipe": 1.0})
    index, told = np.asarray(plain.head.mediapipe_index), []

    class Watched(coarse_toy.ToyEncoders):
        def encode(self, *state: Any, landmarks: Any = None, **options: Any) -> Any:
            told.append(landmarks)
            return super().encode(*state, **options)

    watched = plain._replace(
        encoders=Watched(plain.head), found_at=lambda codes: batch["landmarks_mediapipe"][:, index]
    )
    start = plain.encoders.start(jax.random.key(4))
    held, free = (whole_loss(one, *start, batch, jax.random.key(0), train=False)[0].total for one in (watched, plain))
    assert float(held) == 0 and float(free) > 1e-3
    np.testing.assert_array_equal(told[0], batch["landmarks_mediapipe"])


def test_runs_that_encoders_cannot_go_on_from_are_refused(tmp_path: Path) -> None:
    network = tmp_path / "network.npz"
    np.savez(network, **{"params/flame/bias": np.zeros(2), "batch_stats/flame/mean": np.zeros(2)})
    encoders = landmark_encoders(head := load_head("open"), landmark_model(head))
    with pytest.raises(InputError, match="has no 'points' and no 'trunk', but flame; train E_flame again"):
        started_from(str(tmp_path), encoders, EXPRESSION)
    with pytest.raises(InputError, match=r"config\.level is for the 'reader' backbone"):
        open_encoders(ConfigDict({"backbone": "resnet50", "level": True}), head)


@pytest.mark.parametrize("level", [True, False])
def test_the_configuration_says_whether_e_expression_is_level(level: bool) -> None:
    head = load_head("open")
    chosen = ConfigDict({"backbone": "reader", "level": level, "settings": {"seed": 0}})
    encoders = open_encoders(chosen, head)
    _, statistics = jax.eval_shape(lambda key: encoders.with_expression(*encoders.start(key)), jax.random.key(0))
    assert (LEVEL in statistics[EXPRESSION]) == level


def test_the_official_e_expression_tells_what_e_flame_told() -> None:
    """Its last layer takes E_flame's rows by name: made-up layers show which."""
    encoders = OfficialEncoders(jaw=True)
    kernel = np.arange(236, dtype=np.float32)[None]
    flame = {"hidden": {"kernel": np.ones((3, 2), np.float32)}, "head": {"kernel": kernel, "bias": kernel[0]}}
    parameters, statistics = encoders.with_expression({FLAME: flame}, {FLAME: {}})
    # 100 of shape and 50 of albedo come before, 3 of pose between.
    expected = [*range(150, 200), *range(203, 206)]
    np.testing.assert_array_equal(parameters[EXPRESSION]["head"]["bias"], expected)
    assert set(statistics) == {FLAME, EXPRESSION}
    with pytest.raises(InputError, match="give `start` a run of deca_coarse"):
        encoders.with_expression({}, {})


@pytest.mark.slow
def test_eight_devices_do_what_one_does() -> None:
    environment = {
        **os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.eight_devices_coarse"],
        cwd=ROOT, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    np.testing.assert_allclose(told["together"]["losses"], told["alone"]["losses"], rtol=1e-5)
    for name, values in told["alone"]["state"].items():
        np.testing.assert_allclose(told["together"]["state"][name], values, atol=2e-5, err_msg=name)


def _codes(minimised: Any, state: Any, batch: dict[str, np.ndarray]) -> Any:
    images = jnp.asarray(batch["images"] / np.float32(255))
    return jax.jit(lambda state: minimised.encoders.encode(*state, images, trained=None).codes)(state)


def _losses(minimised: Any, state: Any, batch: dict[str, np.ndarray], seeds: range) -> list[float]:
    seen = {name: jnp.asarray(array) for name, array in batch.items()}

    @jax.jit
    def loss(state: Any, key: jax.Array) -> jax.Array:
        return whole_loss(minimised, state[0], state[1], seen, key, train=False)[0].total

    return [float(loss(state, jax.random.key(seed))) for seed in seeds]


def _assert_moved(after: Any, before: Any) -> None:
    assert np.any(np.asarray(after) != np.asarray(before))


def test_people_are_not_torn_apart() -> None:
    config = ConfigDict({"per_identity": 2, "same_shape": "exchange", "settings": {"accumulate": 2}})
    with pytest.raises(InputError, match="cuts a batch between photos"):
        groups_stay_together(config)
    config.per_identity, config.same_shape = 1, "none"
    groups_stay_together(config)


def test_nor_where_their_details_are_shared() -> None:
    config = importlib.import_module("configs.deca_detail").get_config()
    groups_stay_together(config)
    config.settings.accumulate = 2
    with pytest.raises(InputError, match="leave it at 1, or same_detail at 'none'"):
        groups_stay_together(config)
