"""Head files: what goes in comes out, and every kind of damage is told in a sentence."""

import hashlib
import json
import os

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from emoca_jax.errors import InputError
from emoca_jax.flame import load_head, save_head
from tests.flame.small_head import small_head


@pytest.fixture
def saved(tmp_path):
    save_head(small_head(), tmp_path / "head.npz", provenance={"licence": "CC0"})
    return tmp_path / "head.npz"


def test_round_trip_is_exact_and_a_folder_will_do(saved):
    head = load_head(saved.parent)
    assert jax.tree.structure(head) == jax.tree.structure(small_head())
    for found, wanted in zip(jax.tree.leaves(head), jax.tree.leaves(small_head()), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert json.loads(saved.with_suffix(".json").read_text())["provenance"] == {"licence": "CC0"}
    assert sorted(os.listdir(saved.parent)) == ["head.json", "head.npz"]


def test_a_safetensors_head_is_the_same_and_comes_first(saved):
    head = small_head().replace(albedo=None, name="second")
    path = saved.with_name("head.safetensors")
    save_head(head, path)
    save_file({"mean": np.full((4, 4, 3), 0.5), "basis": np.zeros((4, 4, 3, 2))}, saved.with_name("albedo.safetensors"))
    assert load_head(saved.parent).albedo is None and load_head(saved.parent).name == "second"
    for found, wanted in zip(jax.tree.leaves(load_head(path)), jax.tree.leaves(head), strict=True):
        np.testing.assert_array_equal(found, wanted)
    description = json.loads(path.with_suffix(".json").read_text()) | {"albedo_file": "albedo.safetensors"}
    path.with_suffix(".json").write_text(json.dumps(description))
    albedo = load_head(path).albedo
    assert albedo is not None and albedo.mean.dtype == np.float32 and float(albedo.mean[0, 0, 0]) == 0.5
    save_file({"mean": np.zeros((4, 4, 3))}, saved.with_name("albedo.safetensors"))
    with pytest.raises(InputError, match=r"lacks the array 'albedo\.basis'"):
        load_head(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"head\.safetensors is damaged"):
        load_head(path)


def test_narrow_storage_keeps_the_promised_precision(tmp_path):
    head = small_head()
    storage = {"shape_dirs": "float16", "albedo.mean": "uint8", "albedo.basis": "int8"}
    save_head(head, tmp_path / "small.npz", storage=storage)
    found = load_head(tmp_path / "small.npz")
    assert head.albedo is not None and found.albedo is not None
    assert found.shape_dirs.dtype == found.albedo.mean.dtype == np.float32
    np.testing.assert_allclose(found.shape_dirs, head.shape_dirs, rtol=2**-11)
    np.testing.assert_allclose(found.albedo.mean, head.albedo.mean, atol=0.5 / 255 + 1e-6)
    largest = np.abs(head.albedo.basis).max(axis=(0, 1, 2))
    assert (np.abs(found.albedo.basis - head.albedo.basis).max(axis=(0, 1, 2)) <= 0.51 * largest / 127).all()


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape_dirs": np.zeros((22, 3, 4))}, r"'shape_dirs' has shape \(22, 3, 4\), expected \(23, 3, any\)"),
        ({"expression_dirs": np.zeros((23, 3, 5))}, r"'expression_dirs' has shape .* expected \(23, 3, 3\)"),
        ({"template": np.full((23, 3), np.nan)}, "'template' holds NaN"),
        ({"faces": np.full((31, 3), 23)}, r"'faces' points outside 0\.\.22"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, change, message):
    save_head(small_head().replace(**change), tmp_path / "head.npz")
    with pytest.raises(InputError, match=message):
        load_head(tmp_path)


def test_a_missing_array_is_named(saved):
    """The checksum is made to fit, so that only the array is wrong."""
    arrays = dict(np.load(saved))
    del arrays["uv"]
    np.savez(saved, **arrays)
    description = json.loads(saved.with_suffix(".json").read_text())
    description["sha256"] = hashlib.sha256(saved.read_bytes()).hexdigest()
    saved.with_suffix(".json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"lacks the array 'uv' of shape \(any, 2\)"):
        load_head(saved)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "empty", "pickle"])
def test_damaged_files_are_refused(saved, damage):
    data = saved.read_bytes()
    if damage == "truncated":
        saved.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        saved.write_bytes(data[:3000] + bytes([data[3000] ^ 255]) + data[3001:])
    elif damage == "pickle":
        np.savez(saved, template=np.array([{"a": 1}], dtype=object))
    else:
        saved.write_bytes(b"" if damage == "empty" else b"not a head")
    with pytest.raises(InputError, match=r"head\.npz"):
        load_head(saved)


def test_missing_damaged_or_foreign_descriptions_are_refused(saved, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_head(tmp_path / "nothing.npz")
    other = tmp_path / "other.npz"
    save_head(small_head(0), other)
    saved.with_suffix(".json").write_bytes(other.with_suffix(".json").read_bytes())
    with pytest.raises(InputError, match="do not belong together"):
        load_head(saved)
    saved.with_suffix(".json").write_text("{")
    with pytest.raises(InputError, match=r"\.json beside"):
        load_head(saved)
    saved.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"head\.json cannot be read"):
        load_head(saved)


def test_a_failed_write_leaves_the_old_file_and_no_scraps(saved, monkeypatch):
    before = saved.read_bytes()

    def full_disk(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(InputError, match="No space left"):
        save_head(small_head(0), saved)
    assert saved.read_bytes() == before
    assert sorted(os.listdir(saved.parent)) == ["head.json", "head.npz"]


def test_the_shipped_head_loads():
    head = load_head("open")
    assert head.bounded_expression
    assert len(head.expression_names) == head.expression_dirs.shape[-1] == 52
