"""Measures against SciPy's and by hand; the script as a user types it, on the photos that ship."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from data_pipelines.build import build
from emoca_jax.emotion.reading import EXPRESSION_NETWORKS, LANDMARK_UNITS, PICTURE_READER
from emoca_jax.emotion.units import UNITS_NETWORK
from emoca_jax.errors import InputError
from emoca_jax.evaluation.emotion import (
    Labels,
    Told,
    calibration_error,
    confusion,
    cooled,
    cross_validated,
    measures,
    reliability,
    temperature,
)
from tests.datasets.official_folders import MAKERS

ROOT = Path(__file__).parents[2]


def made_up(count=200):
    rng = np.random.default_rng(0)
    truth = rng.uniform(-1, 1, (2, count))
    said = 0.6 * truth + rng.normal(0, 0.3, truth.shape)
    right = rng.integers(0, 8, count)
    shares = np.eye(8)[np.where(rng.uniform(size=count) < 0.7, right, rng.integers(0, 8, count))] * 0.8 + 0.025
    return Told(shares, *said), Labels(right, *truth)


def test_measures_of_affect_and_their_intervals_are_scipys():
    told, labels = made_up()
    found = measures(told, labels, draws=2000)
    assert found["V-PCC"].value == pytest.approx(stats.pearsonr(told.valence, labels.valence)[0], abs=1e-5)
    gap = labels.arousal.mean() - told.arousal.mean()
    covariance = np.cov(told.arousal, labels.arousal, ddof=0)
    assert found["A-CCC"].value == pytest.approx(2 * covariance[0, 1] / (np.trace(covariance) + gap**2), abs=1e-5)
    theirs = stats.bootstrap(
        (told.valence, labels.valence), lambda a, b: np.sqrt(np.mean((a - b) ** 2)), paired=True, vectorized=False,
        n_resamples=2000, method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    np.testing.assert_allclose(found["V-RMSE"][1:], theirs, atol=0.004)
    assert found["V-RMSE"].low < found["V-RMSE"].value < found["V-RMSE"].high


def test_classes_by_hand():
    """Three neutral faces, one of them told wrong, and a happy one told right: recalls 2/3 and 1."""
    shares = np.eye(8)[[0, 0, 3, 1, 5]] * 0.9 + 0.0125
    unknown = np.full(5, np.nan)
    labels = Labels(np.array([0, 0, 0, 1, -1]), unknown, unknown)
    told = Told(shares, np.zeros(5), np.zeros(5))
    found = measures(told, labels)
    assert set(found) == {"accuracy", "mean recall"}
    assert found["accuracy"].value == pytest.approx(3 / 4) and found["mean recall"].value == pytest.approx(5 / 6)
    table = confusion(told, labels)
    assert table[0, 0] == 2 and table[0, 3] == 1 and table[1, 1] == 1 and table.sum() == 4
    assert calibration_error(told, labels) == pytest.approx(0.9125 - 0.75)


def test_temperature_makes_the_too_sure_as_sure_as_they_are_right():
    """Labels are drawn from known shares; the network is told to be three times too sure of them."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 8))
    honest = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    labels = np.array([rng.choice(8, p=row) for row in honest])
    loud = cooled(honest, 1 / 3)
    heat = temperature(loud, labels)
    assert heat == pytest.approx(3, rel=0.05)
    np.testing.assert_allclose(cooled(loud, 3), honest, atol=1e-9)
    unknown = np.full(len(labels), np.nan)
    known = Labels(labels, unknown, unknown)
    before, after = (calibration_error(Told(p, unknown, unknown), known) for p in (loud, cooled(loud, heat)))
    assert before > 0.2 and after < 0.03
    bins = reliability(Told(loud, unknown, unknown), known)
    assert sum(part.faces for part in bins) == 4000
    assert bins[-1].sure > 0.95 and bins[-1].right < bins[-1].sure - 0.15


def test_folds_are_mapped_by_the_others():
    """Where truth is a linear map of what is told, the others know it; a fold's own labels change nothing in it."""
    rng = np.random.default_rng(0)
    truth, folds = rng.uniform(-0.5, 0.5, (2, 50)), np.arange(50) % 5
    said = Told(np.eye(8)[np.zeros(50, int)], 2 * truth[0] + 0.3, truth[1] - truth[0])
    none = np.full(50, -1)
    found = cross_validated(said, Labels(none, *truth), folds)
    np.testing.assert_allclose([found.valence, found.arousal], truth, atol=1e-9)
    changed = np.where(folds == 2, 0.9, truth)
    again = cross_validated(said, Labels(none, *changed), folds)
    np.testing.assert_allclose(again.valence[folds == 2], truth[0][folds == 2], atol=1e-9)
    assert np.abs(again.valence - truth[0])[folds != 2].max() > 0.05
    with pytest.raises(InputError, match="two folds"):
        cross_validated(said, Labels(none, *truth), np.zeros(50, int))


def test_nothing_labelled_is_told():
    unknown = np.full(2, np.nan)
    with pytest.raises(InputError, match="no face has a label"):
        measures(Told(np.eye(8)[:2], np.zeros(2), np.zeros(2)), Labels(np.array([-1, -1]), unknown, unknown))


def evaluate(*words: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "evaluate.py", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AffectNet's and AFEW-VA's made-up folders with faces in place of noise, packaged."""
    pytest.importorskip("array_record", reason="array_record has no wheel here: datasets are read from folders")
    root = tmp_path_factory.mktemp("evaluated")
    faces = [Image.open(ROOT / "examples" / f"{name}.jpg").convert("RGB") for name in ("astronaut", "grace_hopper")]
    for name in ("affectnet", "afew_va"):
        MAKERS[name](root / name)
        paths = [path for path in sorted((root / name).rglob("*")) if path.suffix in (".jpg", ".png")]
        for place, path in enumerate(paths):
            faces[place % 2].resize((200, 220)).save(path)
        build(name, manual_dir=root / name, data_dir=root / "datasets")
    return root


@pytest.mark.slow
def test_packaged_datasets_beside_published_numbers(packaged: Path):
    done = evaluate("affectnet", "--split", "train_clean+train_other", "--data_dir", "datasets", folder=packaged)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 pictures of affectnet" in done.stdout
    assert "EMOCA v2" in done.stdout and "V-CCC .76  V-RMSE .33  A-CCC .66  A-RMSE .30  accuracy .66" in done.stdout
    done = evaluate("afew_va", "--data_dir", "datasets", folder=packaged)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "10 of 10 pictures of afew_va"
    folds = [line.split() for line in lines if re.match(r" +[0-4] +\d+ ", line)]
    assert [row[0] for row in folds] == list("01234") and sum(int(row[1]) for row in folds) == 10
    assert "cross-validated linear map" in done.stdout and "accuracy" not in done.stdout


@pytest.mark.thorough
def test_a_folder_with_a_table(tmp_path):
    examples = ROOT / "examples"
    (tmp_path / "labels.csv").write_text(
        f"image,expression,valence,arousal\n{examples}/astronaut.jpg,happy,.8,.5\n{examples}/grace_hopper.jpg,0,,\n"
    )
    done = evaluate("labels.csv", "--witnesses", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "2 of 2 pictures of labels.csv"
    # As they are read together, which comes first.
    assert next(line.split()[:2] for line in lines if "accuracy" in line) == ["accuracy", "1.000"]
    assert {"open networks", EXPRESSION_NETWORKS, PICTURE_READER, LANDMARK_UNITS} <= set(lines)
    assert UNITS_NETWORK not in lines, "which is asked for with --from-3d"
    (tmp_path / "wrong.csv").write_text("image,expression\na.png,joyful\n")
    done = evaluate("wrong.csv", folder=tmp_path)
    assert done.returncode == 2 and "wrong.csv, line 2: there is no expression 'joyful'" in done.stderr
