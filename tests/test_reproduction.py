"""The reproduction: what is true has no error, people and not faces are drawn again, and nothing is rounded up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.codes import Codes
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.flame import load_head
from emoca_jax.jobs.landmark_encoders import found_at

pytest.importorskip("grain", reason="grain has no wheel here")
pytest.importorskip("ml_collections", reason="the extra train is not installed")
from emoca_jax.errors import InputError
from scripts.draw_reproduction import (
    COLOURS,
    _curve,
    best_median_worst,
    measures_figure,
    numbers_of,
    sweep_figure,
    sweep_of,
)
from scripts.draw_reproduction import main as draw
from scripts.reproduce import (
    CLAIMED,
    DECA,
    GAIN,
    NUMBERS,
    OVER_START,
    WITH,
    WITHOUT,
    as_markdown,
    as_numbers,
    single_gains,
    table,
)
from scripts.reproduce import main as reproduce
from scripts.reproduction_measures import (
    MEASURES,
    HeldOut,
    Interval,
    Told,
    _geometry,
    _landmark_error,
    face_region,
    together,
    with_intervals,
)
from scripts.reproduction_sweep import arm_folder, checked_weights, chosen_weight, sweep_markdown, sweep_table

PEOPLE, EACH = 40, 8


def test_intervals_are_those_of_people() -> None:
    """Eight equal faces of each of 40 people tell no more than 40 numbers do."""
    person = np.repeat(np.arange(PEOPLE), EACH)
    value = np.random.default_rng(1).normal(size=PEOPLE)[person]
    found = with_intervals(lambda rows, seeds: float(value[rows].mean()), person)
    half = 1.96 * value.reshape(PEOPLE, EACH)[:, 0].std() / np.sqrt(PEOPLE)
    assert found.value == pytest.approx(value.mean())
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


@pytest.mark.thorough
def test_what_is_true_has_no_error_and_what_is_not_has() -> None:
    head = jax.tree.map(jnp.asarray, load_head("open"))
    draw = np.random.default_rng(0)
    shape, units = (jnp.asarray(draw.uniform(0, 0.5, (2, size)), jnp.float32) for size in (200, 52))
    codes = Codes(
        shape=shape, expression=units, pose=jnp.zeros((2, 2, 3)), jaw=jnp.zeros((2, 3)), eyes=jnp.zeros((2, 2, 3)),
        camera=jnp.tile(jnp.array([[8.0, 0.0, 0.0]]), (2, 1)), light=jnp.zeros((2, 9, 3)), albedo=jnp.zeros((2, 17)),
    )  # fmt: skip
    region = jnp.asarray(face_region(head))
    right: dict[str, Any] = _geometry(head, region, codes, shape, units)
    for name, error in right.items():
        np.testing.assert_allclose(error, 0, atol=1e-3, err_msg=name)
    # A jaw that opens half as far is told in the expression alone, who it is stays.
    opened = units.at[:, head.expression_names.index("jawOpen")].add(0.5)
    wrong = _geometry(head, region, codes.replace(expression=opened), shape, units)
    assert float(wrong["face_error"].min()) > 0.3
    np.testing.assert_allclose(wrong["shape_error"], 0, atol=1e-3)
    found = jnp.asarray(draw.uniform(-1, 1, (2, 478, 3)), jnp.float32)
    model = landmark_model(head)
    assert float(_landmark_error(head, model, codes, found).min()) > 1
    known = found.at[:, head.mediapipe_index].set(found_at(head, model, codes))
    np.testing.assert_allclose(_landmark_error(head, model, codes, known), 0, atol=1e-3)


@pytest.mark.parametrize(
    ("gain", "holds"), [((0.06, 0.01), True), ((0.049, 0.01), False), ((0.2, -0.001), False)], ids=str
)
def test_the_claim_holds_only_where_both_rise_enough(gain: tuple[float, float], holds: bool) -> None:
    row = {arm: Interval(0, 0, 0) for arm in (WITHOUT, WITH, OVER_START)} | {GAIN: Interval(0.3, 0.2, 0.4)}
    told = {name: row for name in MEASURES}
    told["A-CCC (EMO-MLP)"] = {**row, GAIN: Interval(*gain, 0.5)}
    text = as_markdown(told, HeldOut({}, {}, np.arange(3)), {name: [0.1] for name in CLAIMED})
    over_without, over_start = text[text.index("Over the arm") :].split("Over the start")
    assert ("the claim holds here" in over_without) is holds
    assert ("the claim does not hold here" in over_without) is not holds
    assert "the claim does not hold here" in over_start


def test_a_measure_reads_the_rows_that_it_is_given() -> None:
    label = np.array([1, 2, 3])
    told = Told(*[np.zeros(3)] * len(Told._fields))._replace(label=label, valence=np.array([0.0, 1.0, 0.5]))
    truth = {"expression": np.array([1, 2, 0]), "valence": np.array([0.0, 1.0, -1.0])}
    both = np.array([0, 1])
    assert MEASURES["accuracy (EMO-MLP)"](told, truth, both) == 1
    assert MEASURES["V-CCC (EMO-MLP)"](told, truth, both) == pytest.approx(1)
    assert MEASURES["accuracy (EMO-MLP)"](told, truth, np.arange(3)) == pytest.approx(2 / 3)


@pytest.mark.parametrize("steps", [("1", "2"), ("0", "3"), ("2", "-1")], ids=str)
def test_too_few_steps_are_told_and_nothing_begins(
    steps: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(["--data", str(tmp_path), "--runs", str(tmp_path / "runs"), "--steps", *steps]) == 2
    assert "give 2 or more for DECA's stage" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_the_best_face_is_felt_as_it_is_and_the_worst_farthest_off() -> None:
    told = Told(*[np.zeros(5)] * len(Told._fields))._replace(valence=np.array([0.5, 0, 0, 0.1, 0.4]))
    truth = {"valence": np.array([0.5, 0.2, 0.9, 0, 0]), "arousal": np.array([0, 0, 0, 0.1, 0])}
    assert best_median_worst(told, truth).tolist() == [0, 1, 2]


def test_a_curve_is_the_running_mean_of_what_was_logged(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    notes = [{"step": 20 * row, "train/emotion": float(row**2)} for row in range(1, 8)]
    log.write_text("".join(json.dumps(note) + "\n" for note in [*notes, {"step": 140, "eval/loss": 1.0}]))
    steps, values = _curve(log, "train/emotion")
    np.testing.assert_array_equal(steps, [100, 120, 140])
    np.testing.assert_allclose(values, [11, 18, 27])
    assert len(_curve(log, "train/photometric")[0]) == 0
    with log.open("a") as killed:
        killed.write('{"step": 160, "train/emo')
    np.testing.assert_array_equal(_curve(log, "train/emotion")[0], steps)


def test_figures_need_runs_that_have_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw(["--runs", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "let scripts/reproduce.py come to its end" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def told_with(valence: np.ndarray) -> Told:
    return Told(*[np.zeros(len(valence))] * len(Told._fields))._replace(valence=valence, arousal=valence)


def test_intervals_tell_of_seeds_that_disagree() -> None:
    """Two seeds, of which one reads right and the other nothing: draws of two give 1, a half and 0."""
    right = np.random.default_rng(0).normal(size=PEOPLE)
    truth = {"valence": right, "arousal": right, "expression": np.zeros(PEOPLE)}
    faces = HeldOut({}, truth, np.arange(PEOPLE))
    seeds = {
        DECA: [told_with(right)],
        WITHOUT: [told_with(0 * right)] * 2,
        WITH: [told_with(right), told_with(0 * right)],
    }
    found = table(seeds, faces, draws=100)["V-CCC (EMO-MLP)"]
    assert tuple(found[GAIN]) == pytest.approx((0.5, 0, 1))
    assert tuple(found[OVER_START]) == pytest.approx((-0.5, -1, 0))
    assert single_gains(seeds, faces)["V-CCC (EMO-MLP)"] == pytest.approx([1, 0])


def test_the_weight_is_that_of_the_best_emotion_and_never_none() -> None:
    """Told are the true numbers times a half and a whole; what is without the loss is better still."""
    right = np.random.default_rng(0).normal(size=PEOPLE)
    truth = {"valence": right, "arousal": right, "expression": np.zeros(PEOPLE)}
    faces = HeldOut({}, truth, np.arange(PEOPLE))
    told = {weight: told_with(part * right) for weight, part in ((0.0, 1.0), (0.1, 0.5), (2.0, 0.9), (1.0, -1.0))}
    sweep = sweep_table(told, faces, draws=2)
    assert chosen_weight(sweep) == 2.0
    # Of two centred numbers with r = 1: 2 k s^2 / (k^2 s^2 + s^2 + (k - 1)^2 m^2).
    spread, mean = right.var(), right.mean()
    expected = 2 * 0.5 * spread / (1.25 * spread + 0.25 * mean**2)
    assert sweep["A-CCC (EMO-MLP)"][0.1].value == pytest.approx(expected)
    text = sweep_markdown(sweep, faces)
    assert text.startswith("| emotion weight | 0 | 0.1 | 1 | **2** |") and "Chosen: 2," in text


def test_people_of_two_sets_stay_different_people() -> None:
    def of(person: list[int], first: int) -> HeldOut:
        faces = np.arange(first, first + len(person))
        return HeldOut({"images": faces[:, None]}, {"valence": faces}, np.array(person))

    both = together([of([7, 7, 2], 0), of([2, 7], 3)])
    assert both.seen["images"][:, 0].tolist() == both.truth["valence"].tolist() == [0, 1, 2, 3, 4]
    same = both.person[:, None] == both.person[None]
    assert np.argwhere(np.triu(same, 1)).tolist() == [[0, 1]]


def test_runs_of_one_weight_and_of_another_seed_never_share_a_folder() -> None:
    runs = [(WITH, 1, None), (WITH, 0, 1.0), (WITH, 1, 1.0), (WITH, 0, None), (WITH, 0, 0.1), (WITHOUT, 1, None)]
    every = [arm_folder(Path(), arm, seed, weight=weight) for arm, seed, weight in runs]
    terms = ("emotion_centred", "emotion_cosine")
    every += [arm_folder(Path(), WITH, seed, weight=1.0, term=term) for seed in (0, 1) for term in terms]
    every += [arm_folder(Path(), arm, 0, level=True) for arm in (WITH, WITHOUT)]
    assert len(set(every)) == len(runs) + 6


@pytest.mark.parametrize("weights", [(0.0, 1.0), (0.1, 0.1), (float("nan"),), (-1.0, 2.0)], ids=str)
def test_weights_that_are_none_are_told(weights: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="different ones above 0"):
        checked_weights(weights)
    assert checked_weights((2.0, 0.1)) == (0.1, 2.0)


def test_a_table_is_drawn_whose_interval_leaves_the_value_out_and_no_other_file(tmp_path: Path) -> None:
    place, row = tmp_path / NUMBERS, Interval(0.5, 0.1, 0.4)
    measured = {name: {arm: row for arm in (*COLOURS, GAIN, OVER_START)} for name in MEASURES}
    sweep = {name: {weight: row for weight in (0.0, 0.1, 2.0)} for name in MEASURES}
    runs = {arm: [Path(arm)] for arm in COLOURS}
    place.write_text(json.dumps(as_numbers(measured, runs, {})))
    assert measures_figure(numbers_of(tmp_path)).axes
    assert sweep_of(tmp_path) is None
    whole = as_numbers(measured, runs, sweep)
    place.write_text(json.dumps(whole))
    drawn = sweep_of(tmp_path)
    assert drawn is not None
    assert [axis.get_title(loc="left")[:6] for axis in sweep_figure(drawn[0], chosen=drawn[1]).axes] == [
        "emotio",
        "errors",
    ]
    lacking = {**whole, "measures": {name: {WITH: row._asdict()} for name in MEASURES}}
    unswept = {**whole, "sweep": {"chosen": 3.0, "measures": whole["sweep"]["measures"]}}
    for text in ("", "[]", "{}", json.dumps(lacking), json.dumps(unswept), json.dumps(whole)[:-9]):
        place.write_text(text)
        with pytest.raises(InputError, match="is not what"):
            numbers_of(tmp_path)
