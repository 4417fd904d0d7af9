"""A photo through a converted model: a single checkpoint with made-up weights, no other official file."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import emoca_jax as ej
from emoca_jax import flame
from emoca_jax.cli import main
from emoca_jax.convert.convert import convert
from emoca_jax.errors import InputError
from emoca_jax.fit.inner_landmarks import with_landmarks
from emoca_jax.mediapipe_points import INNER_OF_68
from emoca_jax.model import pose
from emoca_jax.nets.encoders import Encoder, split_flame
from tests.convert import official_files
from tests.shared_data import shared_path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("trained")
    checkpoint = official_files.write_checkpoint(place / "run.ckpt", official_files.emoca_state())
    convert([checkpoint], place / "model")
    checkpoint.unlink()
    return place / "model"


@pytest.fixture(scope="module")
def face(folder):
    return ej.reconstruct(ej.load_model(folder), shared_path("photos/smile.jpg"), faces="largest")[0]


@pytest.mark.thorough
def test_codes_are_the_encoders(face, folder):
    """The identity is E_flame's, unfolded and in its plain form, on the crop that the result tells."""
    from emoca_jax.jobs.look import cut_plane
    from emoca_jax.model_folder import read_model_folder

    variables = read_model_folder(folder).variables("flame_encoder")
    crop = cut_plane(face.photo, face.crop, 224)
    wanted = split_flame(jnp.asarray(Encoder(236).apply(variables, crop[None])))
    np.testing.assert_allclose(face.codes.shape, wanted.shape[0], atol=2e-5)
    np.testing.assert_allclose(face.codes.camera, wanted.camera[0], atol=2e-5)
    assert np.abs(face.codes.jaw - wanted.jaw[0]).max() > 1e-3, "the jaw is E_expression's"
    assert face.codes.detail.shape == (128,) and face.model.endswith("(emoca_jaw)")
    posed = pose(face.head, face.codes)
    np.testing.assert_allclose(face.vertices, posed.vertices, atol=1e-6)


@pytest.mark.thorough
def test_everything_is_written(face, tmp_path):
    names = {path.name for path in face.save(tmp_path / "x")}
    assert {
        "x.glb",
        "x.obj",
        "x_detail.obj",
        "x_normals.png",
        "x_displacement.png",
        "x.npz",
        "x.json",
        "x.png",
    } <= names
    summary = json.loads((tmp_path / "x.json").read_text())
    assert summary["model"] == {"name": face.model, "official": False}
    assert summary["read_by"] == {"classes": "open networks", "valence_arousal": "classes on the photo"}
    assert summary["fit"]["visible_landmarks"] > 30
    assert all(np.isfinite(array).all() for array in np.load(tmp_path / "x.npz").values())


@pytest.mark.thorough
def test_what_does_not_go_together_is_refused(folder, tmp_path, capsys):
    photo = str(shared_path("photos/smile.jpg"))
    for words, message in (
        (["--model", str(folder), "--head", "open"], "brings its own head"),
        (["--official"], "needs a converted model"),
        (["--model", str(tmp_path)], "no converted model"),
        (["--model", str(folder / "Nobody")], "no model 'Nobody'"),
    ):
        assert main(["reconstruct", photo, "--output", str(tmp_path / "out"), *words]) == 2
        assert message in capsys.readouterr().err
    (folder / "maps.safetensors").rename(folder / "away")
    with pytest.raises(InputError, match="cannot be read"):
        ej.load_model(folder)
    (folder / "away").rename(folder / "maps.safetensors")


def test_inner_landmarks_are_where_mediapipe_has_them():
    """On the open head, which has both: the 51 points of the markup lie beside those of the mesh."""
    head = ej.load_head("open")
    markup = np.asarray(flame.landmarks68_fixed(head, head.template))[17:]
    row = {index: number for number, index in enumerate(np.asarray(head.mediapipe_index).tolist())}
    mesh = np.asarray(flame.landmarks_mediapipe(head, head.template))[[row[index] for index in INNER_OF_68]]
    distance = np.linalg.norm(markup - mesh, axis=1)
    assert distance.max() < 0.002
    bare = head.replace(
        mediapipe_index=head.mediapipe_index[:0],
        landmarks_mediapipe=flame.LandmarkEmbedding(np.zeros(0, np.int32), np.zeros((0, 3), np.float32)),
    )
    assert with_landmarks(head) is head
    assert np.asarray(with_landmarks(bare).mediapipe_index).tolist() == list(INNER_OF_68)
