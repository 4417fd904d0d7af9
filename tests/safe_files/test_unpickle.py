"""The unpickler against `pickle` itself, real pickles of other packages, and pickles that attack."""

import argparse
import collections
import pathlib
import pickle
import resource
import sys
import time
import warnings
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emoca_jax.errors import InputError
from emoca_jax.safe_files.stand_ins import Opaque, SparseMatrix
from emoca_jax.safe_files.unpickle import load
from tests.safe_files.foreign_classes import foreign, pickled, python_2_pickle, with_state
from tests.safe_files.hostile_pickles import code_pickles, greedy_pickles

KEYS = st.none() | st.booleans() | st.integers(-(1 << 59), 1 << 59) | st.text(max_size=5) | st.binary(max_size=5)
LEAVES = KEYS | st.floats(allow_nan=False) | st.integers() | st.complex_numbers(allow_nan=False)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(collections.OrderedDict)
    ),
    max_leaves=20,
)
DTYPES = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | hnp.complex_number_dtypes(endianness="?", sizes=(64, 128))
    | hnp.byte_string_dtypes(max_len=5)
    | hnp.unicode_string_dtypes(endianness="?", max_len=5)
)


@hypothesis.settings(deadline=None)
@hypothesis.given(value=TREES, protocol=st.integers(0, 5))
def test_plain_values_as_pickle_has_them(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    ours = load(data, place="a.pkl")
    assert ours == pickle.loads(data)
    assert type(ours) is type(value)


@hypothesis.settings(deadline=None)
@hypothesis.given(data=st.data(), protocol=st.integers(0, 5), fortran=st.booleans())
def test_arrays_as_numpy_has_them(data: st.DataObject, protocol: int, fortran: bool) -> None:
    array = data.draw(hnp.arrays(data.draw(DTYPES), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=20)))
    if fortran:
        array = np.asfortranarray(array)
    ours = load(pickle.dumps({"a": array, "again": array, "one": array.ravel()[:1].tolist()}, protocol), place="a.pkl")
    assert ours["a"].dtype == array.dtype.newbyteorder("=") and ours["a"].dtype.isnative
    np.testing.assert_array_equal(ours["a"], array)
    assert ours["again"] is ours["a"]


@pytest.mark.parametrize("protocol", range(6))
def test_numpy_scalars_dtypes_and_objects(protocol: int) -> None:
    objects = np.empty((2, 2), object)
    objects[:] = [["a", None], [np.arange(3), {"b": 1.5}]]
    with warnings.catch_warnings(action="ignore", category=PendingDeprecationWarning):
        matrix = np.asmatrix(np.eye(2))
    value = [
        np.float32(1.5),
        np.int64(-3),
        np.dtype(">f4"),
        objects,
        matrix,
        np.array("text"),
        np.bool_(True),
    ]
    with warnings.catch_warnings(action="ignore", category=PendingDeprecationWarning):
        data = pickle.dumps(value, protocol)
    ours = load(data, place="a.pkl")
    assert ours[:3] == value[:3] and type(ours[0]) is np.float32
    assert ours[3].shape == (2, 2) and ours[3][1, 1] == {"b": 1.5} and ours[3][0, 1] is None
    np.testing.assert_array_equal(ours[3][1, 0], np.arange(3))
    np.testing.assert_array_equal(ours[4], np.eye(2))
    assert ours[5] == "text" and ours[6]


def test_old_names_of_numpy_and_scipy() -> None:
    array, matrix = np.arange(6.0).reshape(2, 3), scipy.sparse.csc_matrix(np.eye(3))
    data = pickle.dumps([array, matrix], 2)
    data = data.replace(b"numpy._core", b"numpy.core").replace(b"scipy.sparse._csc", b"scipy.sparse.csc")
    ours = load(data, place="a.pkl")
    np.testing.assert_array_equal(ours[0], array)
    np.testing.assert_array_equal(ours[1].toarray(), np.eye(3))


@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array"])
def test_sparse_matrices_as_scipy_has_them(kind: str) -> None:
    dense = np.random.default_rng(0).random((5, 7)) * (np.random.default_rng(1).random((5, 7)) > 0.6)
    ours = load(pickle.dumps(getattr(scipy.sparse, kind)(dense), 2), place="a.pkl")
    assert isinstance(ours, SparseMatrix) and ours.shape == (5, 7)
    np.testing.assert_array_equal(ours.toarray(), dense)


def test_duplicates_in_a_sparse_matrix_add_up() -> None:
    matrix = scipy.sparse.coo_matrix(([1.0, 2.0], ([1, 1], [0, 0])), shape=(2, 2))
    np.testing.assert_array_equal(load(pickle.dumps(matrix, 2), place="a.pkl").toarray(), matrix.toarray())


@pytest.mark.parametrize("count", [3, 1000])
def test_a_pickle_of_python_2(count: int) -> None:
    """What protocol 2 of Python 2 wrote: byte strings for names and for an array's contents, Latin-1 for text."""
    array = np.arange(count, dtype="<f8")
    data = python_2_pickle(array)
    ours, theirs = load(data, place="a.pkl"), pickle.loads(data, encoding="latin1")
    assert list(ours) == ["weights", "name"] and ours["name"] == theirs["name"] == "café!"
    np.testing.assert_array_equal(ours["weights"], theirs["weights"])


def test_chumpy_objects_stand_for_their_values() -> None:
    base = foreign("chumpy.ch.Ch")
    names = ("Select", "Reshape", "transpose", "Concatenate", "AtleastNd")
    kinds = {name: foreign(f"chumpy.reordering.{name}", base) for name in names}
    values = np.arange(24.0).reshape(4, 6)

    def make() -> dict:
        x = with_state(base, _dirty_vars={"x"}, _itr=None, x=values)
        select = with_state(kinds["Select"], a=x, idxs=np.array([[5, 2], [0, 23]]), preferred_shape=(2, 2))
        return {
            "x": x,
            "select": select,
            "reshape": with_state(kinds["Reshape"], a=x, newshape=(-1, 2)),
            "transpose": with_state(kinds["transpose"], a=x),
            "joined": with_state(kinds["Concatenate"], dterms=["m0", "m1"], m0=x, m1=values, axis=1),
            "two": with_state(kinds["AtleastNd"], x=with_state(base, x=values[0]), ndims=2),
            "x again": x,
        }

    for protocol in (0, 2, 4):
        ours = load(pickled(make, base, *kinds.values(), protocol=protocol), place="a.pkl")
        np.testing.assert_array_equal(ours["x"], values)
        assert ours["x again"] is ours["x"]
        np.testing.assert_array_equal(ours["select"], [[5, 2], [0, 23]])
        np.testing.assert_array_equal(ours["reshape"], values.reshape(12, 2))
        np.testing.assert_array_equal(ours["transpose"], values.T)
        np.testing.assert_array_equal(ours["joined"], np.hstack([values, values]))
        np.testing.assert_array_equal(ours["two"], values[:1])


def test_tensors_in_a_plain_pickle() -> None:
    tensor = torch.arange(12.0).view(3, 4)
    ours = load(pickle.dumps({"a": tensor.T, "b": tensor[1], "c": tensor.bfloat16()}), place="a.pkl")
    np.testing.assert_array_equal(ours["a"], tensor.T.numpy())
    np.testing.assert_array_equal(ours["b"], tensor[1].numpy())
    np.testing.assert_array_equal(ours["c"], tensor.numpy())


def test_what_training_frameworks_leave_behind() -> None:
    attributes = foreign("pytorch_lightning.utilities.parsing.AttributeDict", dict)
    checkpoint = foreign("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint")

    def make() -> dict:
        return {
            "hyper_parameters": attributes(rate=0.1, path=pathlib.PurePosixPath("/data/faces"), nested=attributes(a=1)),
            "arguments": argparse.Namespace(lr=1e-4, layers=[1, 2]),
            "callbacks": {checkpoint: {"best": np.float64(0.5)}},
            "counts": collections.defaultdict(list, a=[1]),
            "callback": with_state(checkpoint, patience=3),
        }

    ours = load(pickled(make, attributes, checkpoint), place="a.ckpt")
    assert ours["hyper_parameters"] == {"rate": 0.1, "path": "/data/faces", "nested": {"a": 1}}
    assert ours["arguments"] == {"lr": 1e-4, "layers": [1, 2]}
    assert ours["counts"] == {"a": [1]}
    ((name, kept),) = ours["callbacks"].items()
    assert str(name) == "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint" and kept == {"best": 0.5}
    assert isinstance(ours["callback"], Opaque) and ours["callback"].state == {"patience": 3}


def test_configurations_of_omegaconf() -> None:
    omegaconf = pytest.importorskip("omegaconf")
    plain = {
        "model": {"n_exp": 50, "name": "EMOCA", "layers": [1, 2.5, None, "x"], "on": True},
        "empty": {},
        "none": None,
    }
    for protocol in (2, 4):
        data = pickle.dumps({"config": omegaconf.OmegaConf.create(plain), "b": 1}, protocol)
        assert load(data, place="a.ckpt") == {"config": plain, "b": 1}


def test_long_arrays_lie_in_the_file() -> None:
    """No copy of an array is made where the bytes are there: protocol 3 and up, and Python 2."""
    data = pickle.dumps(np.arange(1000.0), 4)
    assert np.shares_memory(load(data, place="a.pkl"), np.frombuffer(data, np.uint8))


ATTACKS = code_pickles(Path("marker"))
GREED = greedy_pickles()


def test_the_attacks_are_real(tmp_path: Path) -> None:
    """The plainest of them does create the file when an ordinary unpickler gets it."""
    marker = tmp_path / "marker"
    pickle.loads(code_pickles(marker)["exec"])
    assert marker.exists()


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = set(sys.modules)
    with pytest.raises(InputError, match=r"attack\.pkl") as refusal:
        load(code_pickles(tmp_path / "marker")[name], place="attack.pkl")
    assert not list(tmp_path.iterdir())
    assert set(sys.modules) == loaded
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 500


def test_a_refusal_names_what_was_asked_for() -> None:
    with pytest.raises(InputError, match=r"attack\.pkl asks for os\.system"):
        load(b"cos\nsystem\n.", place="attack.pkl")


@pytest.mark.thorough
@pytest.mark.parametrize("name", GREED)
def test_nothing_costs_more_than_its_size_warrants(name: str) -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(InputError, match=r"greedy\.pkl"):
        load(GREED[name], place="greedy.pkl")
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024


@pytest.mark.parametrize("index", [b"r\xff\xff\xff\xff", b"p" + b"9" * 200 + b"\n"])
def test_far_places_in_the_memo_cost_nothing(index: bytes) -> None:
    assert load(b"N" + index + b".", place="a.pkl") is None
