"""Converted folders: what is found in them, and a sentence for everything that is not."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from emoca_jax.errors import InputError
from emoca_jax.flame import save_head
from emoca_jax.model_folder import FORMAT_VERSION, KIND, read_model_folder
from tests.flame.small_head import small_head


@pytest.fixture
def folder(tmp_path):
    """Two models on one small head; the second has an albedo model of its own and lacks its decoder."""
    save_head(small_head().replace(albedo=None), tmp_path / "head.safetensors")
    for name, colour in (("bfm", 0.25), ("flame", 0.75)):
        arrays = {"mean": np.full((4, 4, 3), colour, np.float32), "basis": np.zeros((4, 4, 3, 2), np.float32)}
        save_file(arrays, tmp_path / f"albedo_{name}.safetensors")
    (tmp_path / "One").mkdir()
    tensors = {"params/layer/kernel": np.eye(3, dtype=np.float32), "batch_stats/norm/mean": np.ones(2, np.float32)}
    save_file(tensors, tmp_path / "One/detail_decoder.safetensors")
    save_file({"face_mask": np.ones((2, 2)), "dense_template/f": np.ones((5, 3), int)}, tmp_path / "maps.safetensors")
    description = {
        "format": FORMAT_VERSION,
        "kind": KIND,
        "models": {
            "One": {
                "variant": "emoca",
                "parts": {"detail_decoder": "One/detail_decoder.safetensors"},
                "options": {"albedo": "bfm"},
            },
            "Two": {"variant": "deca", "parts": {}, "options": {"albedo": "flame"}},
        },
        "parts": {
            "head": "head.safetensors",
            "maps": "maps.safetensors",
            "albedo_bfm": "albedo_bfm.safetensors",
            "albedo_flame": "albedo_flame.safetensors",
        },
        "default": "One",
    }
    (tmp_path / "model.json").write_text(json.dumps(description))
    return tmp_path


def change(folder, edit):
    description = json.loads((folder / "model.json").read_text())
    edit(description)
    (folder / "model.json").write_text(json.dumps(description))


def test_the_default_model_and_a_named_one(folder):
    one, two = read_model_folder(folder), read_model_folder(folder / "Two")
    assert (one.name, one.variant, two.name, two.variant) == ("One", "emoca", "Two", "deca")
    variables = one.variables("detail_decoder")
    np.testing.assert_array_equal(variables["params"]["layer"]["kernel"], np.eye(3))
    np.testing.assert_array_equal(variables["batch_stats"]["norm"]["mean"], [1, 1])
    assert one.maps["dense_template"]["f"].shape == (5, 3) and set(one.maps) == {"face_mask", "dense_template"}
    assert one.head.albedo is not None and two.head.albedo is not None
    assert [float(albedo.mean[0, 0, 0]) for albedo in (one.head.albedo, two.head.albedo)] == [0.25, 0.75]


def test_a_missing_part_names_the_official_file(folder):
    with pytest.raises(InputError, match=r"Two has no detail_decoder: convert an EMOCA run folder"):
        read_model_folder(folder / "Two").variables("detail_decoder")
    with pytest.raises(InputError, match=r"no emonet: convert emonet_8\.pth"):
        read_model_folder(folder).variables("emonet")
    with pytest.raises(InputError, match=r"no face_eye_mask: convert uv_face_eye_mask\.png"):
        read_model_folder(folder).map("face_eye_mask")
    np.testing.assert_array_equal(read_model_folder(folder).map("face_mask"), np.ones((2, 2)))
    change(folder, lambda d: d["parts"].pop("albedo_bfm"))
    assert read_model_folder(folder).head.albedo is None, "FLAME's colours are not what BFM's codes mean"


def test_a_folder_without_models(folder):
    change(folder, lambda description: description.update(models={}, default=None))
    empty = read_model_folder(folder)
    assert empty.head.albedo is None and empty.name is None
    with pytest.raises(InputError, match="holds no model yet"):
        empty.variables("flame_encoder")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(kind="emoca_jax head"), "is of kind 'emoca_jax head'"),
        (lambda d: d.update(format=2), "format 2"),
        (lambda d: d.update(default="Three"), "damaged"),
        (lambda d: d["parts"].update(head="../head.safetensors"), "damaged"),
        (lambda d: d["models"]["One"]["parts"].update(flame_encoder="/etc/passwd"), "damaged"),
        (lambda d: d.pop("models"), "damaged"),
    ],
)
def test_bad_descriptions_are_refused(folder, edit, message):
    change(folder, edit)
    with pytest.raises(InputError, match=message):
        read_model_folder(folder)


def test_what_is_no_folder_or_damaged(folder, tmp_path):
    with pytest.raises(InputError, match="no model 'Three'; its models: One, Two"):
        read_model_folder(folder / "Three")
    with pytest.raises(InputError, match="emoca convert"):
        read_model_folder(tmp_path / "nothing/at/all")
    file = folder / "One/detail_decoder.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"detail_decoder\.safetensors cannot be read"):
        read_model_folder(folder).variables("detail_decoder")
    (folder / "model.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        read_model_folder(folder)
