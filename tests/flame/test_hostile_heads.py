"""Heads from strangers: announced sizes are not believed, and whatever their .json says is checked."""

import io
import json
import time
import zipfile

import numpy as np
import pytest

from emoca_jax.errors import InputError
from emoca_jax.flame import load_head, save_head
from tests.flame.small_head import small_head


@pytest.fixture
def saved(tmp_path):
    save_head(small_head(), tmp_path / "head.npz")
    return tmp_path / "head.npz"


def described(saved, **changes):
    place = saved.with_suffix(".json")
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"parents": [1, 2, 0, 1, 1]},
        {"parents": [-1, 0, 5, 1, 1]},
        {"parents": [-1, "0", 1, 1, 1]},
        {"parents": [-1, -1, 1, 1, 1]},
        {"parents": []},
        {"joint_names": ["a"]},
        {"joint_names": [1, 2, 3, 4, 5]},
        {"part_names": 5},
        {"name": ["x"]},
        {"bounded_expression": "yes"},
        {"scales": [1]},
        {"albedo_names": {"a": 1}, "scales": None},
    ],
)
def test_what_the_description_says_is_checked(saved, changes):
    described(saved, **changes)
    with pytest.raises(InputError, match=r"\.json beside .* is damaged"):
        load_head(saved)


@pytest.mark.parametrize("scale", [[1.0] * 7, "x", {}])
def test_scales_must_fit(saved, scale):
    described(saved, scales={"template": scale})
    with pytest.raises(InputError, match=r"beside .*(do not fit|damaged)"):
        load_head(saved)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("skin_weights", 0.0, "do not sum to 1"),
        ("skin_weights", np.nan, "NaN"),
        ("joint_regressor", 0.0, "'joint_regressor' do not sum to 1"),
        ("template", 1e38, "absurd"),
        ("shape_dirs", np.inf, "NaN or infinity"),
    ],
)
def test_numbers_are_sound(tmp_path, name, value, says):
    head = small_head()
    save_head(head.replace(**{name: np.full_like(getattr(head, name), value)}), tmp_path / "head.npz")
    with pytest.raises(InputError, match=says):
        load_head(tmp_path / "head.npz")


def test_shares_of_a_triangle_are_all_of_it(tmp_path):
    head = small_head()
    bent = head.landmarks_full.replace(barycentric=2 * head.landmarks_full.barycentric)
    save_head(head.replace(landmarks_full=bent), tmp_path / "head.npz")
    with pytest.raises(InputError, match=r"'landmarks_full\.barycentric' do not sum to 1"):
        load_head(tmp_path / "head.npz")


def npy(shape, data=b""):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + data


def zipped(member, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("template.npy", member)
    return buffer.getvalue()


def patched(data, old, new):
    assert old in data
    return data.replace(old, new)


STORED = zipped(npy((4,), b"\0" * 16), zipfile.ZIP_STORED)
HOSTILE = {
    "12 TB announced": zipped(npy((10**12, 3))),
    "a bomb": zipped(npy((1 << 26,), b"\0" * (1 << 28))),
    "encrypted": patched(STORED, b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
    "unknown compression": patched(STORED, b"PK\1\2\x14\3\x14\0\0\0\0\0", b"PK\1\2\x14\3\x14\0\0\0\x63\0"),
    "records": zipped(npy((4,)).replace(b"'<f4'", b"[('a', '<f4')]")),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_announced_sizes_are_not_believed(saved, kind):
    saved.write_bytes(HOSTILE[kind])
    started = time.monotonic()
    with pytest.raises(InputError, match=r"head\.npz"):
        load_head(saved)
    assert time.monotonic() - started < 5


def test_an_albedo_file_without_a_name(saved):
    described(saved, albedo_file="")
    with pytest.raises(InputError, match="names no albedo_file"):
        load_head(saved)
