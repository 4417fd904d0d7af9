"""Encoders for the open head, saved and loaded: what is read again says what training had it say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from emoca_jax.codes import Codes
from emoca_jax.detail import predict_displacement
from emoca_jax.errors import InputError
from emoca_jax.fit.landmark_model import landmark_model, project
from emoca_jax.flame import load_head
from emoca_jax.jobs.landmark_encoders import found_at, landmark_encoders
from emoca_jax.jobs.open_encoder import (
    VARIABLES_NAME,
    is_open_encoder,
    load_open_encoder,
    open_codes,
    save_open_encoder,
)
from emoca_jax.jobs.reconstruct import encode_faces, reconstruct
from emoca_jax.nets.open_encoder import Level
from emoca_jax.open_codes import FAINT_UNIT, moved_units
from emoca_jax.training.stages.detail_networks import DECODER, open_detail_networks
from emoca_jax.training.stages.encoders import OpenEncoders, OpenResNets


@pytest.fixture(scope="module")
def encoders() -> OpenEncoders:
    head = jax.device_put(load_head("open"))
    return landmark_encoders(head, landmark_model(head))


@pytest.fixture(scope="module")
def found(encoders: OpenEncoders) -> np.ndarray:
    """Landmarks of two faces, in the plane of their crops: the average head's, and one that smiles with an open jaw."""
    head, model = encoders.head, landmark_model(encoders.head)
    units = np.zeros((2, len(head.expression_names)), np.float32)
    for name, strength in (("mouthSmileLeft", 0.8), ("mouthSmileRight", 0.8), ("jawOpen", 0.5)):
        units[1, head.expression_names.index(name)] = strength
    codes = still_codes(jax.numpy.asarray(units))
    points = np.zeros((2, 478, 3), np.float32)
    points[:, np.asarray(model.index)] = jax.jit(jax.vmap(lambda one: project(model, one)))(codes)
    # Of the irises the head knows the middles alone.
    points[:, 468:473], points[:, 473:478] = points[:, 468:469], points[:, 473:474]
    return points


def still_codes(units: jax.Array) -> Codes:
    """Average heads from the front in the middle of the plane."""
    zeros = jax.numpy.zeros
    count = units.shape[0]
    return Codes(
        shape=zeros((count, 200)), expression=units, pose=zeros((count, 2, 3)), jaw=zeros((count, 3)),
        eyes=zeros((count, 2, 3)), camera=jax.numpy.tile(jax.numpy.array([[8.0, 0.0, 0.0]]), (count, 1)),
        light=zeros((count, 9, 3)), albedo=zeros((count, 0)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def begun(encoders: OpenEncoders) -> tuple[Any, Any]:
    """Both readers before anything is learned."""
    return encoders.with_expression(*encoders.start(jax.random.key(1)))


@pytest.fixture(scope="module")
def variables(begun: tuple[Any, Any]) -> dict[str, Any]:
    """Each with another last layer, as after training."""
    draw = np.random.default_rng(5)
    parameters, statistics = jax.tree.map(lambda leaf: leaf, begun)
    for name, spread in (("flame", 0.02), ("expression", 0.05)):
        head = parameters[name]["head"]
        head["kernel"] = draw.normal(0, spread, head["kernel"].shape).astype(np.float32)
    return {"params": parameters, "batch_stats": statistics}


@pytest.mark.thorough
def test_a_saved_model_says_what_training_had_it_say(
    encoders: OpenEncoders, variables: dict[str, Any], found: np.ndarray, tmp_path: Path
) -> None:
    save_open_encoder(tmp_path, "made up", variables)
    assert is_open_encoder(tmp_path)
    model = load_open_encoder(tmp_path)
    small = np.random.default_rng(0).uniform(size=(2, 112, 112, 3)).astype(np.float32)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    told = open_codes(model.head, model.landmarks, model.variables, jax.numpy.asarray(large), jax.numpy.asarray(found))
    run = jax.jit(lambda *state: encoders.encode(*state, trained=None, landmarks=jax.numpy.asarray(found)).codes)
    wanted = run(variables["params"], variables["batch_stats"], jax.numpy.asarray(small))
    # Of numbers of about 1, which two programs add up in different orders: 3e-5 on some processors.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), told, wanted)
    assert np.ptp(np.asarray(told.expression)) > 1e-3
    (tmp_path / VARIABLES_NAME).write_bytes((tmp_path / VARIABLES_NAME).read_bytes()[:-1])
    with pytest.raises(InputError, match="its contents have changed"):
        load_open_encoder(tmp_path)


@pytest.mark.thorough
def test_a_saved_detail_stage_says_what_training_had_it_say(
    encoders: OpenEncoders, variables: dict[str, Any], found: np.ndarray, tmp_path: Path
) -> None:
    """Its code as training read it, and its displacement with the decoder's norms folded."""
    networks = open_detail_networks(encoders.head, reads_trunk=True, blocks=(8, 8, 8))
    state = networks.start(variables["params"], variables["batch_stats"], jax.random.key(2))
    draw = np.random.default_rng(6)
    after = jax.tree.map(lambda leaf: draw.uniform(0.5, 1.5, leaf.shape).astype(np.float32), state[1][DECODER])
    state = state[0], {**state[1], DECODER: after}
    save_open_encoder(tmp_path, "made up", dict(zip(("params", "batch_stats"), state, strict=True)))
    model = load_open_encoder(tmp_path)
    assert model.detail is not None and model.detail.mask.shape == (networks.side, networks.side) == (64, 64)
    images = jax.numpy.asarray(draw.uniform(size=(2, 112, 112, 3)), np.float32)
    large = images.repeat(2, axis=1).repeat(2, axis=2)
    told = open_codes(model.head, model.landmarks, model.variables, large, jax.numpy.asarray(found))
    code, _ = jax.jit(lambda: networks.encode(*state, images, train=False))()
    np.testing.assert_allclose(np.asarray(told.detail), np.asarray(code), atol=2e-5)
    wanted, _ = jax.jit(lambda: networks.displace(*state, told, train=False))()
    shown = np.asarray(jax.jit(predict_displacement)(model.detail, told))
    np.testing.assert_allclose(shown, np.asarray(wanted), atol=float(1e-3 * np.abs(wanted).max()))
    assert np.ptp(np.asarray(wanted)) > 1e-5


@pytest.mark.thorough
def test_saved_resnets_say_what_training_had_them_say(
    encoders: OpenEncoders, found: np.ndarray, tmp_path: Path
) -> None:
    """Told apart by their layers, and shown pictures as large as they are cut out; E_detail too."""
    head, draw = encoders.head, np.random.default_rng(7)
    trained, networks = OpenResNets(head, dtype=jax.numpy.float32), open_detail_networks(head, reads_trunk=False)

    def begun() -> Any:
        return networks.start(*trained.with_expression(*trained.start(jax.random.key(0))), jax.random.key(1))

    # Weights that neither vanish nor explode in 50 layers; what they say is not asked.
    shapes: Any = jax.eval_shape(begun)
    parameters = jax.tree.map(
        lambda leaf: draw.normal(0, 0.5 / np.sqrt(max(1, np.prod(leaf.shape[:-1]))), leaf.shape).astype(np.float32),
        shapes[0],
    )
    state = parameters, jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes[1])
    save_open_encoder(tmp_path, "made up", dict(zip(("params", "batch_stats"), state, strict=True)))
    model = load_open_encoder(tmp_path)
    images = jax.numpy.asarray(draw.uniform(size=(1, 224, 224, 3)), np.float32)
    told = open_codes(model.head, model.landmarks, model.variables, images, jax.numpy.asarray(found[:1]))
    wanted = jax.jit(lambda *state: trained.encode(*state, trained=None).codes)(*state, images)
    code, _ = jax.jit(lambda *state: networks.encode(*state, train=False))(*state, images)
    assert np.abs(np.asarray(wanted.expression)).max() > 1e-6 and wanted.detail is None
    wanted = wanted.replace(detail=code)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), told, wanted)
    assert model.detail is not None and model.detail.mask.shape == (networks.side, networks.side)


def without_trunk(told: dict[str, Any]) -> dict[str, Any]:
    return {**told, "params": {name: part for name, part in told["params"].items() if name != "trunk"}}


def not_finite(told: dict[str, Any]) -> dict[str, Any]:
    spoiled = jax.tree.map(np.array, told)
    spoiled["params"]["flame"]["head"]["bias"][0] = np.nan
    return spoiled


@pytest.mark.parametrize(("spoil", "said"), [(without_trunk, "has shape None, expected"), (not_finite, "not finite")])
def test_encoders_that_cannot_work_are_refused_when_they_are_loaded(
    variables: dict[str, Any], tmp_path: Path, spoil: Any, said: str
) -> None:
    save_open_encoder(tmp_path, "made up", spoil(variables))
    with pytest.raises(InputError, match=said):
        load_open_encoder(tmp_path)


@pytest.mark.thorough
def test_what_has_learned_nothing_says_what_the_encoder_that_ships_says(
    encoders: OpenEncoders, begun: tuple[Any, Any], found: np.ndarray
) -> None:
    """Units as well, E_expression or not; its landmarks are where they were found."""
    landmarks, images = jax.numpy.asarray(found), jax.numpy.full((2, 112, 112, 3), 0.3)
    model = landmark_model(encoders.head)

    @jax.jit
    def both(parameters: Any, statistics: Any) -> tuple[Codes, Codes, jax.Array]:
        told = encoders.encode(parameters, statistics, images, trained=None, landmarks=landmarks).codes
        return encoders.off_landmarks(encoders.networks, landmarks), told, found_at(encoders.head, model, told)

    ships, told, points = both(*begun)
    for name in ("shape", "expression", "pose", "camera"):
        np.testing.assert_allclose(getattr(told, name), getattr(ships, name), atol=2e-5, err_msg=name)
    # Percent of a face's width, about: far below what smile and jaw move.
    known = found[:, np.asarray(encoders.head.mediapipe_index), :2]
    width = np.ptp(known[..., 0], axis=1)
    off = np.linalg.norm(np.asarray(points)[..., :2] - known, axis=-1).mean(axis=1) / width
    assert off.max() < 0.01
    smile = encoders.head.expression_names.index("mouthSmileLeft")
    assert told.expression[1, smile] > told.expression[0, smile] + 0.3
    with pytest.raises(InputError, match="give those that were found"):
        encoders.encode(*begun, images, trained=None)


def test_a_level_reader_tells_how_faces_differ_and_remembers_what_they_share() -> None:
    numbers = np.random.default_rng(3).normal(2, 1, (5, 4)).astype(np.float32)
    given, level = jax.numpy.asarray(numbers), Level()
    begun = {"batch_stats": {"mean": jax.numpy.zeros(4)}}
    answer: Any = level.apply(begun, given, train=True, mutable="batch_stats")
    told, changed = answer
    np.testing.assert_allclose(np.asarray(told), numbers - numbers.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(changed["batch_stats"]["mean"], 0.1 * numbers.mean(axis=0), rtol=1e-5)
    later: Any = level.apply({"batch_stats": {"mean": given[0]}}, given)
    np.testing.assert_allclose(np.asarray(later), numbers - numbers[:1], atol=1e-6)


def test_units_move_from_where_they_are_and_those_at_rest_wake() -> None:
    units = jax.numpy.array([[0.0, 0.01, 0.3, 1.0]])
    np.testing.assert_array_equal(moved_units(units, 0 * units).expression, units)
    slope = np.diag(np.asarray(jax.jacfwd(lambda by: moved_units(units, by[None]).expression[0])(0 * units[0])))
    at_rest = FAINT_UNIT * (1 - FAINT_UNIT)
    np.testing.assert_allclose(slope[1:3], [at_rest, 0.21], rtol=1e-5)
    up, down = (np.asarray(moved_units(units, by + 0 * units).expression[0]) for by in (20.0, -20.0))
    np.testing.assert_allclose(up, [1 - FAINT_UNIT, 0.96, 1, 1], atol=1e-6)
    np.testing.assert_allclose(down, [0, 0, 0, FAINT_UNIT], atol=1e-6)


@pytest.mark.slow
def test_resnets_that_have_learned_nothing_show_the_average_face_at_rest(encoders: OpenEncoders) -> None:
    """From the front, as large in the crop as faces of photos are; E_expression begins with the same."""
    from emoca_jax.model import decode

    made = OpenResNets(encoders.head)
    images = jax.numpy.full((1, made.size, made.size, 3), 0.3)

    @jax.jit
    def both(key: jax.Array) -> tuple[Codes, Codes]:
        begin = made.start(key)
        first = made.encode(*begin, images, trained=None).codes
        return first, made.encode(*made.with_expression(*begin), images, trained=None).codes

    codes, copied = both(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, codes, copied)
    still = codes.replace(expression=jax.numpy.zeros_like(codes.expression))
    points = np.asarray(decode(encoders.head, still, (16, 16)).landmarks_mediapipe)[0, :, :2]
    np.testing.assert_allclose(np.ptp(points, axis=0).mean(), 2 / (1.1 * 1.25), rtol=0.02)
    assert float(codes.expression.max()) < 0.05
    assert not codes.shape.any() and not codes.pose.any()


@pytest.mark.thorough
def test_one_pass_says_what_the_whole_job_says(variables: dict[str, Any], tmp_path: Path) -> None:
    """Codes, mesh and feeling of `reconstruct`, without its texture."""
    save_open_encoder(tmp_path, "made up", variables)
    model, photo = load_open_encoder(tmp_path), Path(__file__).parents[2] / "examples/grace_hopper.jpg"
    (quick,), (whole,) = encode_faces(model, photo), reconstruct(model, photo)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), quick.codes, whole.codes)
    np.testing.assert_allclose(quick.vertices, whole.vertices, atol=1e-6)
    np.testing.assert_array_equal(quick.crop, whole.crop)
    told = whole.emotion
    np.testing.assert_allclose([quick.emotion.valence, quick.emotion.arousal], [told.valence, told.arousal], atol=1e-4)


def test_one_pass_needs_an_encoder(types_unchecked: None) -> None:
    with pytest.raises(InputError, match="needs an encoder of the open head"):
        encode_faces(None, "nowhere.jpg")
