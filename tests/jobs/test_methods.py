"""How a photo becomes codes: by landmarks alone, through the renderer, or by an encoder that the model must have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emoca_jax.cli import main
from emoca_jax.emotion.landmark_units import read_head_units
from emoca_jax.errors import InputError
from emoca_jax.fit.landmarks import fit_landmarks
from emoca_jax.jobs.look import look
from emoca_jax.jobs.open_encoder import OpenEncoderModel
from emoca_jax.jobs.open_model import OpenModel, load_open_model
from emoca_jax.jobs.reconstruct import check_method, reconstruct

PHOTO = Path(__file__).parents[2] / "examples/grace_hopper.jpg"


@pytest.fixture(scope="module")
def model() -> OpenModel:
    return load_open_model("open")


@pytest.mark.slow
def test_by_landmarks_alone_the_codes_are_theirs_and_light_is_the_photos(model: OpenModel) -> None:
    (face,) = reconstruct(model, PHOTO, method="landmarks")
    seen = look(model.expression, face)
    landmarks, probabilities = np.asarray(seen.landmarks), np.asarray(seen.read.probabilities)
    units = read_head_units(seen.landmarks, model.head.expression_names)
    assert units is not None
    wanted = fit_landmarks(model.landmarks, landmarks[None], probabilities[None], units[None]).codes
    for name in ("shape", "expression", "pose", "camera", "eyes"):
        np.testing.assert_allclose(getattr(face.codes, name), getattr(wanted, name)[0], atol=1e-4, err_msg=name)
    assert np.ptp(np.asarray(face.codes.light)[1:]) > 0.05
    assert face.fit_error < 0.6


def test_a_model_is_asked_only_for_what_it_can(model: OpenModel) -> None:
    encoders = OpenEncoderModel.__new__(OpenEncoderModel)
    for one, method in ((model, None), (model, "fit"), (model, "landmarks"), (encoders, None), (encoders, "encoder")):
        check_method(one, method)
    for one, method, said in (
        (model, "encoder", "none ships: train one"),
        (encoders, "landmarks", "is of the open model"),
        (model, "guess", "must be one of fit, landmarks, encoder"),
    ):
        with pytest.raises(InputError, match=said):
            check_method(one, method)


def test_the_command_says_what_to_do_without_an_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", str(PHOTO), "--method", "encoder", "--output", str(tmp_path / "out")]) == 2
    assert "train one (docs/training.md), then give its folder" in capsys.readouterr().err
