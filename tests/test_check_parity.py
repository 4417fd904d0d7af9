"""The comparison with the official code: what needs no big weights here, all of it in the slow run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.flame.made_up_flame import made_up_head
from tests.shared_data import shared_path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import check_parity
from parity.assets import Assets
from parity.golden import Comparison, Golden, Tolerance, compare_arrays
from parity.pixel_distance import equally_deep
from parity.seed import drawn, seed_of
from parity.table import markdown


class MadeUpHead(Assets):
    """The reference's head without the official files around it."""

    @property
    def head(self):
        return made_up_head(self.seed)


@pytest.fixture(scope="module")
def goldens() -> Path:
    return shared_path("reference/golden/seed0")


@pytest.fixture(scope="module")
def assets(goldens) -> Assets:
    return MadeUpHead(Path("nowhere"), goldens, seed=0)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["flame", "losses_simple", "misc", "now"])
def test_equals_the_official_code(name, assets, goldens):
    rows = check_parity.compare_file(assets, goldens / f"{name}.npz")
    assert [row for row in rows if row.result == "fail"] == []
    assert sorted(row.array for row in rows) == sorted(Golden(goldens / f"{name}.npz").stored)


def test_only_faces_of_one_plane_are_equally_deep():
    corners = np.array([[-3, -3, 1], [3, -3, 2], [0, 3, 1.5], [-3, -3, 1.001]], np.float32)
    faces = np.array([[0, 1, 2], [2, 0, 1], [3, 1, 2]])
    shown = np.zeros((4, 4), int)
    assert equally_deep(corners, faces, shown, shown + 1).all()
    assert not equally_deep(corners, faces, shown, shown + 2).any()
    assert not equally_deep(corners, faces, shown, shown).any(), "one face does not tie with itself"
    assert not equally_deep(corners, faces, shown, shown - 1).any(), "nor with the background"


@pytest.mark.slow
def test_everything_equals_the_official_code(goldens, tmp_path, monkeypatch):
    """All files, on official files written for the purpose (3.3 GB, a quarter of an hour on two cores)."""
    pytest.importorskip("torch")
    files, page = tmp_path / "assets", tmp_path / "parity.md"
    maker = shared_path("reference/make_reference.py")
    subprocess.run([sys.executable, str(maker), "--seed", "0", "--out", str(files)], check=True)
    arguments = ["check_parity", "--assets", str(files), "--golden", str(goldens), "--output", str(page)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert check_parity.main() == 0
    assert "FAIL" not in page.read_text()


def changed(goldens: Path, folder: Path, **arrays: np.ndarray) -> Path:
    """now.npz with some arrays replaced."""
    with np.load(goldens / "now.npz") as stored:
        np.savez(folder / "now.npz", **{**stored, **arrays})
    return folder / "now.npz"


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored * (1 + 1e-6),
        lambda stored: np.where(np.arange(3) == 1, np.nan, stored),
        lambda stored: stored[:2],
    ],
    ids=["a millionth", "NaN", "shape"],
)
def test_a_changed_reference_fails(change, assets, goldens, tmp_path):
    centre = Golden(goldens / "now.npz")["mask_centre"]
    rows = check_parity.compare_file(assets, changed(goldens, tmp_path, mask_centre=change(centre)))
    assert [row.array for row in rows if row.result == "fail"] == ["mask_centre"]


def test_an_array_that_nothing_looks_at_fails(assets, goldens, tmp_path):
    rows = check_parity.compare_file(assets, changed(goldens, tmp_path, surprise=np.zeros(3)))
    assert [(row.array, row.note) for row in rows if row.result == "fail"] == [("surprise", "not compared")]


def test_a_file_that_nothing_compares_fails_as_a_whole(assets, tmp_path):
    np.savez(tmp_path / "unheard_of.npz", a=np.zeros(2), b=np.ones(3))
    rows = check_parity.compare_file(assets, tmp_path / "unheard_of.npz")
    assert {row.array: row.result for row in rows} == {"a": "fail", "b": "fail"}


def test_subsets_and_statistics_see_what_they_should(tmp_path):
    whole = np.random.default_rng(0).normal(size=(2, 8, 8))
    numbers = [whole.mean(), whole.std(), whole.min(), whole.max(), (whole**2).sum()]
    np.savez(tmp_path / "maps.npz", map__s4=whole[..., ::4, ::4], map__stat=np.array(numbers))
    golden, tolerance = Golden(tmp_path / "maps.npz"), Tolerance(absolute=1e-6)
    assert [row.result for row in golden.check("map", whole, tolerance)] == ["pass", "pass"]
    unseen = whole.copy()
    unseen[0, 1, 1] += 1e-3
    assert [row.result for row in golden.check("map", unseen, tolerance)] == ["pass", "fail"]


def test_outliers_are_counted():
    theirs, ours = np.zeros(1000), np.zeros(1000)
    ours[:3] = 9.0
    assert compare_arrays("pixels", ours, theirs, Tolerance(1e-6, outliers=0.003)).result == "pass"
    assert compare_arrays("pixels", ours, theirs, Tolerance(1e-6, outliers=0.002)).result == "fail"


def test_the_seed_is_found_in_the_weights(tmp_path):
    assert seed_of(drawn(123), tmp_path, tmp_path) == 123


def test_bad_folders_are_refused(tmp_path, monkeypatch, capsys):
    arguments = ["check_parity", "--assets", str(tmp_path), "--golden", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert check_parity.main() == 2
    assert "holds no npz files" in capsys.readouterr().err


def test_the_table_counts_and_marks():
    rows = [Comparison("a", "pass", 1e-7, 1e-8, "1e-06"), Comparison("b", "fail", note="not compared")]
    page = markdown({"file": [*rows, Comparison("c", "input")]}, seed=3)
    assert "| **all** | 3 | 1 | 1 | 1 | 0 |" in page
    assert "| `b` |  |  |  | **FAIL** | not compared |" in page and "Inputs: `c`." in page
