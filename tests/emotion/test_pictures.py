"""The picture reader that ships: its arithmetic, what it sees, and how its training brings maps to one scale."""

from importlib import resources
from typing import Any

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import erf
from skimage.transform import estimate_transform

from emoca_jax.emotion.pictures import load_picture_reader
from emoca_jax.nets.emotion.frozen import MAPS
from emoca_jax.nets.emotion.picture_reader import PictureReader, strayed_points

FACES = 3
READ: Any = jax.jit(PictureReader().apply)


@pytest.fixture(scope="module")
def looks():
    """Maps, units off landmarks, and points, of faces that are none."""
    random = np.random.default_rng(0)
    maps = {name: random.normal(size=(FACES, cells, cells, count)) for name, (cells, count) in MAPS.items()}
    maps, units = {name: x.astype(np.float32) for name, x in maps.items()}, random.random((FACES, 52))
    return maps, units.astype(np.float32), seen_points(random, noise=0.1)


def seen_points(random, noise):
    """The mean face of the reader that ships, seen from anywhere and not quite as it is."""
    mean = np.asarray(load_picture_reader()["params"]["mean"])
    turns = Rotation.from_rotvec(0.3 * random.normal(size=(FACES, 3))).as_matrix()
    faces = (mean + noise * random.normal(size=(FACES, *mean.shape))) @ turns.transpose(0, 2, 1)
    return (45 * faces + random.normal(size=(FACES, 1, 3)) + 96).astype(np.float32)


def test_it_is_a_plain_network(looks):
    weights = {
        name: array.astype(float)
        for name, array in np.load(str(resources.files("emoca_jax") / "assets" / "picture_reader.npz")).items()
    }

    def dense(name, x):
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    def gelu(x):
        return x * (1 + erf(x / np.sqrt(2))) / 2

    maps, units, points = looks
    mean = weights["mean"]
    laid = np.stack([estimate_transform("similarity", face, mean)(face) for face in points.astype(float)])
    parts = [4 * units, 20 * (laid - mean).reshape(FACES, -1)]
    parts += [np.maximum(dense(name, maps[name]), 0).reshape(FACES, -1) for name in sorted(maps)]
    # GELU's usual approximation (Hendrycks and Gimpel 2016) is within 5e-4 of x Phi(x).
    x = gelu(dense("hidden", np.concatenate(parts, axis=1)))
    x = x + gelu(dense("deeper", x))
    affect = READ(load_picture_reader(), *looks)
    told = dense("affect", x)
    np.testing.assert_allclose(affect.expression_logits, told[:, :8], atol=0.02)
    np.testing.assert_allclose(affect.valence, told[:, 8], atol=0.02)
    np.testing.assert_allclose(affect.arousal, told[:, 9], atol=0.02)
    np.testing.assert_allclose(affect.unit_logits, dense("units", x), atol=0.02)


def test_what_learned_from_levelled_maps_reads_maps_as_they_come(looks):
    pytest.importorskip("grain", reason="grain has no wheel here")
    from data_pipelines.frozen_levels import levelled, spread_of, unlevelled
    from data_pipelines.frozen_sets import maps_of

    maps, *rest = looks
    loud = {name: 7 * x + 3 for name, x in maps.items()}
    flat = np.concatenate([loud[name].reshape(FACES, -1) for name in sorted(loud)], axis=1)
    back = maps_of(flat)
    assert all((back[name] == loud[name]).all() for name in MAPS)
    spread = spread_of(flat)
    level = levelled(back, spread)
    np.testing.assert_allclose(np.asarray(level["mesh"]).mean((0, 1, 2)), 0, atol=1e-4)
    # Any weights would do.
    learned = jax.tree.map(np.asarray, load_picture_reader()["params"])
    told = [
        np.asarray(READ({"params": weights}, seen, *rest).unit_logits)
        for weights, seen in ((learned, level), (unlevelled(learned, spread), back))
    ]
    np.testing.assert_allclose(told[1], told[0], atol=1e-3 * np.abs(told[0]).max())
    assert np.abs(told[0] - np.asarray(READ({"params": learned}, back, *rest).unit_logits)).max() > 0.1, "scale matters"


def test_a_reader_that_is_taught_on_begins_as_it_was(looks):
    """Whatever scale its training takes, and where it does not know a map, that map counts nothing."""
    pytest.importorskip("grain", reason="grain has no wheel here")
    from data_pipelines.frozen_levels import grown, unlevelled

    maps, *rest = looks
    random = np.random.default_rng(1)
    spread = {name: (random.normal(size=count), random.random(count) + 0.5) for name, (_, count) in MAPS.items()}
    start = jax.tree.map(np.asarray, load_picture_reader()["params"])
    blank = jax.tree.map(np.ones_like, start)
    again = unlevelled(jax.tree.map(np.asarray, grown(blank, start, spread)), spread)
    told = [READ({"params": weights}, maps, *rest).unit_logits for weights in (start, again)]
    np.testing.assert_allclose(told[1], told[0], atol=1e-3 * np.abs(told[0]).max())
    # "dense" is the first of the alphabet: behind 52 units and 146 points, 7 x 7 cells of 16 channels.
    lacking = {name: layer for name, layer in start.items() if name != "dense"}
    rows = start["hidden"]["kernel"]
    lacking["hidden"] = {**start["hidden"], "kernel": np.delete(rows, slice(490, 490 + 7 * 7 * 16), axis=0)}
    without = unlevelled(jax.tree.map(np.asarray, grown(blank, lacking, spread)), spread)
    told = [
        READ({"params": without}, {**maps, "dense": other}, *rest).unit_logits
        for other in (maps["dense"], maps["dense"] + 5)
    ]
    np.testing.assert_allclose(told[1], told[0], atol=1e-5)
    first = {name: layer for name, layer in start.items() if name != "deeper"}
    alike = {**start, "deeper": jax.tree.map(np.zeros_like, start["deeper"])}
    told = [
        READ({"params": weights}, maps, *rest).unit_logits
        for weights in (alike, unlevelled(jax.tree.map(np.asarray, grown(blank, first, spread)), spread))
    ]
    np.testing.assert_allclose(told[1], told[0], atol=1e-3 * np.abs(told[0]).max())


def test_a_reader_that_knew_no_points_is_taught_on_as_it_was(looks):
    pytest.importorskip("grain", reason="grain has no wheel here")
    from data_pipelines.frozen_levels import grown, unlevelled

    maps, units, points = looks
    spread = {name: (np.zeros(count), np.ones(count)) for name, (_, count) in MAPS.items()}
    whole = jax.tree.map(np.asarray, load_picture_reader()["params"])
    start = {name: layer for name, layer in whole.items() if name != "mean"}
    start["hidden"] = {**whole["hidden"], "kernel": np.delete(whole["hidden"]["kernel"], slice(52, 490), axis=0)}
    again = unlevelled(jax.tree.map(np.asarray, grown(whole, start, spread)), spread)
    told = [READ({"params": again}, maps, units, seen).unit_logits for seen in (points, points[::-1])]
    np.testing.assert_allclose(told[0], told[1], atol=1e-5)
    # What shows that it is the same reader: the one that ships, with its points where nothing strays from the mean.
    still = np.broadcast_to(whole["mean"], points.shape)
    alike = READ({"params": whole}, maps, units, still).unit_logits
    np.testing.assert_allclose(told[0], alike, atol=1e-3 * np.abs(alike).max())


def test_where_a_face_is_and_how_it_is_turned_says_nothing():
    mean = np.asarray(load_picture_reader()["params"]["mean"])
    np.testing.assert_allclose(mean.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose((mean**2).sum(1).mean(), 1, atol=1e-2)
    points = seen_points(np.random.default_rng(2), noise=0.0)
    np.testing.assert_allclose(strayed_points(jax.numpy.asarray(points), jax.numpy.asarray(mean)), 0, atol=2e-5)


def test_the_mean_of_turned_faces_is_their_face():
    pytest.importorskip("grain", reason="grain has no wheel here")
    from data_pipelines.frozen_levels import mean_face

    mean = np.asarray(load_picture_reader()["params"]["mean"], float)
    found = mean_face(seen_points(np.random.default_rng(3), noise=0.0))
    moved = estimate_transform("similarity", found, mean)
    np.testing.assert_allclose(moved(found), mean, atol=2e-3)
    np.testing.assert_allclose((found.astype(float) ** 2).sum(1).mean(), 1, atol=1e-5)


def test_looks_at_several_folders_have_names_of_their_own():
    """Those at the first are called as where there is one folder: what was kept is found again."""
    pytest.importorskip("grain", reason="grain has no wheel here")
    from scripts.train_picture_reader import turns_at

    sources: Any = list("abc")
    one, more = turns_at(sources[:1], 2), turns_at(sources, 2)
    assert one == [("turn0", 0, "a"), ("turn1", 1, "a")] == more[:2]
    assert len({name for name, *_ in more}) == 6 and [source for *_, source in more] == list("aabbcc")


def test_training_without_drawn_faces_says_what_is_missing(tmp_path, capsys):
    pytest.importorskip("grain", reason="grain has no wheel here")
    from scripts.train_picture_reader import main

    assert main(["--data_dir", str(tmp_path), "--sets", str(tmp_path / "sets")]) == 2
    assert "data_pipelines.build open_faces" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "option", [("--epochs", "0"), ("--turns", "0"), ("--turns", "10"), ("--seed", "-1")], ids=" ".join
)
def test_numbers_out_of_range_are_refused_before_any_look(tmp_path, capsys, option):
    pytest.importorskip("grain", reason="grain has no wheel here")
    from scripts.train_picture_reader import main

    assert main(["--data_dir", str(tmp_path), "--sets", str(tmp_path / "sets"), *option]) == 2
    assert f"{option[0]} is {option[1]}; give" in capsys.readouterr().err


def test_fewer_looks_than_a_batch_another_network_and_an_interruption_end_in_a_sentence(tmp_path, capsys, monkeypatch):
    pytest.importorskip("grain", reason="grain has no wheel here")
    from scripts import train_picture_reader as script

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    command = ["--data_dir", str(tmp_path), "--sets", str(tmp_path / "sets")]
    monkeypatch.setattr(script, "open_records", lambda *_, **__: [0] * 85)
    monkeypatch.setattr(script, "origin_of", interrupted)
    assert script.main([*command, "--turns", "3"]) == 2
    assert "3 looks at each of 85 faces" in capsys.readouterr().err
    assert not (tmp_path / "sets").exists()
    other = tmp_path / "other.npz"
    np.savez(other, **{"dense/kernel": np.zeros((2, 2))})
    assert script.main([*command, "--turns", "4", "--start", str(other)]) == 2
    assert f"{other}: holds no picture reader" in capsys.readouterr().err
    np.savez(other, **{f"{name}/kernel": np.zeros((128, 9)) for name in ("hidden", "affect", "units")})
    assert script.main([*command, "--turns", "4", "--start", str(other)]) == 2
    assert "this reader is 128 wide and 256 are trained" in capsys.readouterr().err
    assert script.main([*command, "--turns", "4"]) == 130
    assert "interrupted" in capsys.readouterr().err
