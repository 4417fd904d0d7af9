"""Encoders for the open head, saved and loaded: what is read again says what training had it say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.flame import load_head
from emoca_jax.jobs.open_encoder import (
    VARIABLES_NAME,
    is_open_encoder,
    load_open_encoder,
    open_codes,
    save_open_encoder,
)
from emoca_jax.jobs.reconstruct import encode_faces, reconstruct
from emoca_jax.training.stages.encoders import Encoders, OpenEncoders, OpenResNets


@pytest.fixture(scope="module")
def encoders() -> OpenEncoders:
    return OpenEncoders(jax.device_put(load_head("open")))


@pytest.fixture(scope="module")
def variables(encoders: OpenEncoders) -> dict[str, Any]:
    """Both readers, each with another last layer, as after training."""
    draw = np.random.default_rng(5)
    parameters, statistics = encoders.with_expression(*encoders.start(jax.random.key(1)))
    for name, spread in (("flame", 0.02), ("expression", 0.05)):
        head = parameters[name]["head"]
        head["kernel"] = draw.normal(0, spread, head["kernel"].shape).astype(np.float32)
    return {"params": parameters, "batch_stats": statistics}


@pytest.mark.thorough
def test_a_saved_model_says_what_training_had_it_say(
    encoders: OpenEncoders, variables: dict[str, Any], tmp_path: Path
) -> None:
    save_open_encoder(tmp_path, "made up", variables)
    assert is_open_encoder(tmp_path)
    model = load_open_encoder(tmp_path)
    small = np.random.default_rng(0).uniform(size=(2, 112, 112, 3)).astype(np.float32)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    found = open_codes(model.head, model.variables, jax.numpy.asarray(large))
    wanted = encoders.encode(
        variables["params"], variables["batch_stats"], jax.numpy.asarray(small), trained=None
    ).codes
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found, wanted)
    assert np.ptp(np.asarray(found.expression)) > 1e-3
    (tmp_path / VARIABLES_NAME).write_bytes((tmp_path / VARIABLES_NAME).read_bytes()[:-1])
    with pytest.raises(InputError, match="its contents have changed"):
        load_open_encoder(tmp_path)


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
@pytest.mark.parametrize("kind", [OpenEncoders, pytest.param(OpenResNets, marks=pytest.mark.slow)])
def test_encoders_that_have_learned_nothing_show_the_average_face_at_rest(encoders: OpenEncoders, kind: Any) -> None:
    """From the front, as large in the crop as faces of photos are; E_expression begins with the same."""
    from emoca_jax.model import decode

    made: Encoders = kind(encoders.head)
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
