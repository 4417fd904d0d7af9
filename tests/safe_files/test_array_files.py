"""`.npy`, `.npz` and pickle files against NumPy, and the ways such files are broken or lie."""

import pickle
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emoca_jax.errors import InputError
from emoca_jax.safe_files.array_files import read_npy, read_npz, read_pickle
from tests.flame.made_up_flame import reference_module
from tests.shared_data import shared_path

READ_WHEN_ASKED = pytest.mark.usefixtures("types_unchecked")
"""An archive's arrays are read when they are asked for, and the type checks ask for one."""

ARRAYS = hnp.arrays(
    st.sampled_from(["f4", ">f8", "i8", "u1", "?", "c8", "U3", "S2", "f2"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
)


@hypothesis.settings(deadline=None)
@hypothesis.given(array=ARRAYS, fortran=st.booleans())
def test_npy_as_numpy_has_it(array: np.ndarray, fortran: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    np.save(path, np.asfortranarray(array) if fortran else array)
    ours = read_npy(path)
    np.testing.assert_array_equal(ours, array)
    assert ours.dtype.isnative and not ours.flags.writeable


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_npy(version: tuple[int, int], tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, np.arange(5), version=version)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), np.arange(5))


def test_a_header_of_python_2(tmp_path: Path) -> None:
    header = b"{'descr': '<i4', 'fortran_order': False, 'shape': (2L, 1L), }"
    header += b" " * (117 - len(header)) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + b"\1\0\0\0\2\0\0\0")
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), [[1], [2]])


def test_a_dictionary_of_tensors_in_an_npy(tmp_path: Path) -> None:
    """As the landmark tables of FLAME are published."""
    table = {"faces": torch.arange(34).view(2, 17), "bary": torch.rand(2, 17, 3), "static": np.arange(51)}
    np.save(tmp_path / "a.npy", np.array(table, object), allow_pickle=True)
    ours = read_npy(tmp_path / "a.npy")[()]
    assert list(ours) == list(table)
    for name, value in table.items():
        np.testing.assert_array_equal(ours[name], np.asarray(value))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_as_numpy_has_it(save, tmp_path: Path) -> None:
    arrays = {"mean": np.arange(12.0).reshape(3, 4), "ints": np.arange(1000), "objects": np.array([1, "a"], object)}
    save(tmp_path / "a.npz", **arrays)
    ours = read_npz(tmp_path / "a.npz")
    assert list(ours) == list(arrays) and len(ours) == 3 and "mean" in ours and "other" not in ours
    for name, value in arrays.items():
        np.testing.assert_array_equal(ours[name], value)
    with pytest.raises(KeyError):
        ours["other"]


def test_stored_arrays_are_mapped(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(1000))
    ours = read_npz(tmp_path / "a.npz")
    assert np.shares_memory(ours["a"], ours["a"])


def test_a_member_above_4_gib_by_its_64_bit_fields(tmp_path: Path) -> None:
    """The wide fields are read where the narrow ones say so (a small file that uses them)."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("a.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, np.arange(7))
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")["a"], np.arange(7))
    content = (tmp_path / "a.npz").read_bytes()
    directory = content.index(b"PK\1\2")
    size = struct.unpack_from("<I", content, directory + 24)[0]
    extra = struct.pack("<2H3Q", 1, 24, size, size, 0)
    entry = bytearray(content[directory : content.index(b"PK\5\6")])
    entry[20:28] = b"\xff" * 8
    entry[42:46] = b"\xff" * 4
    entry[30:32] = struct.pack("<H", len(extra))
    entry = entry[: 46 + 5] + extra
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry), directory, 0)
    (tmp_path / "b.npz").write_bytes(content[:directory] + entry + end)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npz")["a"], np.arange(7))
    np.testing.assert_array_equal(read_npz(tmp_path / "b.npz")["a"], np.arange(7))


def npy(shape: str, descr: str = "<f8", content: bytes = b"") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content


@pytest.mark.parametrize(
    "content",
    [
        npy("1000000000000,"),
        npy("1000000000000, 1000000000000, 1000000000000, 1000000000000"),
        npy("9" * 5000),
        npy("1" * 5000 + "!"),
        npy("3,", content=b"x" * 23),
        npy("-3,"),
        npy(", ".join("1" * 100), content=b"x" * 8),
        npy("3,", descr="O", content=b"cos\nsystem\n."),
        npy("3,", descr="O", content=b"K\1."),
        npy("1,", descr="V1000000000"),
        npy("1,", descr="S0"),
        npy("1,", descr="f8', 'f4"),
        b"\x93NUMPY\1\0\xff\xff",
        b"\x93NUMPY\7\0",
        b"\x93NUMPY",
        b"no array",
        b"",
    ],
)
def test_npy_files_that_lie(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npy"):
        read_npy(tmp_path / "a.npy")


def test_pickle_files(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": np.arange(3)}))
    np.testing.assert_array_equal(read_pickle(tmp_path / "a.pkl")["a"], np.arange(3))
    for content in (b"", b"nonsense", pickle.dumps(print), pickle.dumps(list(range(100)))[:-1]):
        (tmp_path / "b.pkl").write_bytes(content)
        with pytest.raises(InputError, match=r"b\.pkl"):
            read_pickle(tmp_path / "b.pkl")


def zipped(path: Path, names: list[str], content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return path.read_bytes()


def patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """The archive with bytes replaced, counted from the last place of a signature."""
    place = data.rindex(signature) + offset
    return data[:place] + value + data[place + len(value) :]


def overlapping(path: Path, array: bytes) -> bytes:
    """A member whose bytes hold another member, which is listed beside it: the way a small file becomes a large one."""
    inner = zipped(path, ["b.npy"], array)
    local, entry = inner[: inner.index(b"PK\1\2")], inner[inner.index(b"PK\1\2") : inner.index(b"PK\5\6")]
    outer = zipped(path, ["a.npy"], local)
    start, end = outer.index(b"PK\1\2"), outer.index(b"PK\5\6")
    entry = entry[:42] + struct.pack("<I", outer.index(local)) + entry[46:]
    directory = outer[start:end] + entry
    return outer[:start] + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2, 2, len(directory), start, 0)


def lying_archives(folder: Path) -> dict[str, bytes]:
    path = folder / "made.npz"
    array = npy("2,", content=b"x" * 16)
    plain = zipped(path, ["a.npy", "b.npy"], array)
    packed = zipped(path, ["a.npy"], array, zipfile.ZIP_DEFLATED)
    end, central = b"PK\5\6", b"PK\1\2"
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(8)) + bomb.flush()
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(zeros), 1 << 31, 5, 0) + b"a.npy" + zeros
    entry = (
        struct.pack("<4s6H3I5H2I", central, 20, 20, 0, 8, 0, 0, 0, len(zeros), 1 << 31, 5, 0, 0, 0, 0, 0, 0) + b"a.npy"
    )
    bomb_end = struct.pack("<4s4H2IH", end, 0, 0, 1, 1, len(entry), len(local), 0)
    return {
        "bomb": local + entry + bomb_end,
        "bomb in secret": patched(packed, central, 24, struct.pack("<I", 10)),
        "smaller than it says": patched(packed, central, 24, struct.pack("<I", 1000)),
        "stored sizes differ": patched(plain, central, 24, struct.pack("<I", 1000)),
        "reaches beyond the file": patched(plain, central, 20, struct.pack("<2I", 1 << 31, 1 << 31)),
        "overlap": overlapping(path, array),
        "two of a name": plain.replace(b"b.npy", b"a.npy"),
        "names differ": patched(plain, b"PK\1\2", 46, b"c"),
        "encrypted": patched(plain, central, 8, b"\1"),
        "unknown method": patched(plain, central, 10, struct.pack("<H", 12)),
        "wrong place": patched(plain, central, 42, struct.pack("<I", 3)),
        "count too high": patched(plain, end, 10, struct.pack("<H", 60_000)),
        "count of one too many": patched(plain, end, 10, struct.pack("<H", 3)),
        "directory beyond the file": patched(plain, end, 16, struct.pack("<I", 1 << 30)),
        "checksum": plain.replace(b"x" * 16, b"x" * 15 + b"y"),
        "deflated nonsense": patched(packed, b"PK\3\4", 40, b"\xff" * 20),
        "cut": plain[:-1],
        "cut at half": plain[: len(plain) // 2],
        "no archive": b"PK\3\4" + b"\0" * 100,
        "64-bit end record far away": patched(plain, end, 0, b"PK\6\7" + b"\xff" * 16 + plain[plain.rindex(end) :]),
    }


@READ_WHEN_ASKED
def test_archives_that_lie(tmp_path: Path) -> None:
    for name, content in lying_archives(tmp_path).items():
        path = tmp_path / "lying.npz"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"lying\.npz"):
            dict(read_npz(path))
            pytest.fail(f"{name} was read")


@READ_WHEN_ASKED
def test_bombs_do_not_unpack(tmp_path: Path) -> None:
    """One that says how large it is is refused at once; one that does not stops at the size it gave."""
    archives = lying_archives(tmp_path)
    (tmp_path / "a.npz").write_bytes(archives["bomb"])
    with pytest.raises(InputError, match="would unpack to 2147483648 bytes"):
        read_npz(tmp_path / "a.npz")
    large = zipped(tmp_path / "b.npz", ["a.npy"], bytes(64 << 20), zipfile.ZIP_DEFLATED)
    (tmp_path / "b.npz").write_bytes(patched(large, b"PK\1\2", 24, struct.pack("<I", 10)))
    tracemalloc.start()
    with pytest.raises(InputError, match="unpacks to more than it says"):
        dict(read_npz(tmp_path / "b.npz"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_an_overlap_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(overlapping(tmp_path / "made.npz", npy("2,", content=b"x" * 16)))
    assert zipfile.ZipFile(tmp_path / "a.npz").read("b.npy")
    with pytest.raises(InputError, match="reaches into"):
        read_npz(tmp_path / "a.npz")


def test_a_plain_file_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npz.npy", np.arange(3))
    with pytest.raises(InputError, match=r"not an \.npz"):
        read_npz(tmp_path / "a.npz.npy")


def test_the_published_tables_as_numpy_and_torch_have_them() -> None:
    path = shared_path("reference/assets/landmark_embedding.npy")
    ours, theirs = read_npy(path)[()], np.load(path, allow_pickle=True, encoding="latin1")[()]
    assert list(ours) == list(theirs) and isinstance(theirs["dynamic_lmk_faces_idx"], torch.Tensor)
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], np.asarray(value))
    path = shared_path("reference/assets/mediapipe_landmark_embedding.npz")
    ours, theirs = read_npz(path), np.load(path)
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.parametrize("chumpy", [False, True])
def test_a_face_model_as_the_reference_writes_it(chumpy: bool, tmp_path: Path) -> None:
    """FLAME's pickle: arrays plain or wrapped by chumpy, a sparse regressor, text."""
    chance = np.random.default_rng(0)
    model = {
        "v_template": chance.random((7, 3)),
        "f": np.arange(12, dtype=np.uint32).reshape(4, 3),
        "shapedirs": chance.random((7, 3, 100)),
        "J_regressor": scipy.sparse.csc_matrix(chance.random((5, 7)) * (chance.random((5, 7)) > 0.5)),
        "weights": chance.random((7, 5)),
        "bs_style": "lbs",
    }
    reference_module().write_flame(model, tmp_path / "generic_model.pkl", chumpy)
    ours = read_pickle(tmp_path / "generic_model.pkl")
    assert list(ours) == list(model) and ours["bs_style"] == "lbs"
    np.testing.assert_array_equal(ours["J_regressor"].toarray(), model["J_regressor"].toarray())
    for name in ("v_template", "f", "shapedirs", "weights"):
        np.testing.assert_array_equal(ours[name], model[name])
