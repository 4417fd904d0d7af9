"""Converted folders: what is found in them, and a sentence for everything that is not."""

import json
from typing import Any

import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file, save_file

from emoca_jax.errors import InputError
from emoca_jax.flame import save_head
from emoca_jax.model_folder import FORMAT_VERSION, KIND, file_sha256, read_model_folder
from emoca_jax.nets.declared import declared_shapes
from tests.flame.small_head import small_head


@pytest.fixture
def folder(tmp_path):
    """Two models on one small head; the second has an albedo model of its own and lacks its decoder."""
    save_head(small_head().replace(albedo=None), tmp_path / "head.safetensors")
    for name, colour in (("bfm", 0.25), ("flame", 0.75)):
        arrays = {"mean": np.full((4, 4, 3), colour, np.float32), "basis": np.zeros((4, 4, 3, 2), np.float32)}
        save_file(arrays, tmp_path / f"albedo_{name}.safetensors")
    (tmp_path / "One").mkdir()
    shapes = declared_shapes("detail_decoder")
    tensors = {path: np.full(shape, i, np.float32) for i, (path, shape) in enumerate(shapes.items())}
    save_file(tensors, tmp_path / "One/detail_decoder.safetensors")
    save_file(
        {"face_mask": np.ones((256, 256)), "dense_template/f": np.ones((5, 3), int)}, tmp_path / "maps.safetensors"
    )
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
    flat: Any = flatten_dict(variables, sep="/")
    assert [array.flat[0] for array in (flat[path] for path in declared_shapes("detail_decoder"))] == [*range(38)]
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
    assert read_model_folder(folder).map("face_mask").sum() == 256**2
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
        (lambda d: d.update(files=["head.safetensors"]), "damaged"),
        (lambda d: d.update(missing=[5]), "damaged"),
        (lambda d: d.update(sources=[{}]), "damaged"),
        (lambda d: d.update(default=["One"]), "damaged"),
        (lambda d: d["models"]["One"].update(options={"albedo": {}}), "damaged"),
        (lambda d: d["parts"].update(head=5), "damaged"),
        (lambda d: d["models"].update(One=None), "damaged"),
    ],
)
def test_bad_descriptions_are_refused(folder, edit, message):
    change(folder, edit)
    with pytest.raises(InputError, match=message):
        read_model_folder(folder)


def test_a_description_costs_and_says_little(folder):
    """Four megabytes of brackets took a core .7 s."""
    change(folder, lambda d: d.update(kind="x" * 5000))
    with pytest.raises(InputError) as told:
        read_model_folder(folder)
    assert len(str(told.value)) < 500
    change(folder, lambda d: d.update(missing=["x" * (1 << 20)]))
    with pytest.raises(InputError, match="has more than 1048576 bytes"):
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


def change_tensors(file, edit):
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file)


def first(tensors):
    return min(tensors)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda t: t.pop(first(t)), "lacks batch_stats/"),
        (lambda t: t.update(more=np.ones(3, np.float32)), "has more, which the network does not"),
        (lambda t: t.update({first(t): t[first(t)].astype(np.int8)}), "as int8"),
        (lambda t: t.update({first(t): t[first(t)].astype(bool)}), "as bool"),
        (lambda t: t.update({first(t): t[first(t)].astype(np.float64)}), "as float64"),
        (lambda t: t.update({first(t): t[first(t)][:1].copy()}), "in place of float32"),
        (lambda t: t[first(t)].fill(np.nan), "NaN"),
        (lambda t: t[first(t)].fill(1e38), "absurd"),
        (lambda t: t[next(path for path in t if path.endswith("/var"))].fill(-1), "variances below zero in"),
    ],
)
def test_networks_are_what_they_declare(folder, edit, says):
    change_tensors(folder / "One/detail_decoder.safetensors", edit)
    with pytest.raises(InputError, match=f"detail_decoder.safetensors is damaged: it .*{says}"):
        read_model_folder(folder).variables("detail_decoder")


def test_a_flipped_byte_is_noticed(folder):
    names = ("One/detail_decoder.safetensors", "head.safetensors", "head.json", "maps.safetensors")
    change(folder, lambda d: d.update(files={name: file_sha256(folder / name) for name in names}))
    reads = (lambda m: m.variables("detail_decoder"), lambda m: m.head, lambda m: m.head, lambda m: m.map("face_mask"))
    for name, read in zip(names, reads, strict=True):
        read(read_model_folder(folder))
        data = bytearray((folder / name).read_bytes())
        data[-9] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(InputError, match=f"{name} is damaged, its contents have changed: convert"):
            read(read_model_folder(folder))
        data[-9] ^= 1
        (folder / name).write_bytes(data)


def test_names_that_no_file_can_have(folder):
    change(folder, lambda d: d["parts"].update(maps="\ud800"))
    with pytest.raises(InputError, match="which no file can be called"):
        read_model_folder(folder).map("face_mask")


def test_maps_are_maps(folder):
    for wrong in (np.ones((2, 2)), np.full((256, 256), np.nan), np.ones((256, 256), int), np.full((256, 256), 9.0)):
        save_file({"face_mask": wrong}, folder / "maps.safetensors")
        with pytest.raises(InputError, match="face_mask is no map of 256 x 256 sound numbers"):
            read_model_folder(folder).map("face_mask")
