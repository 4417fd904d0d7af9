"""How well emotions are told: the tables that papers print, with confidence intervals.

Measures of valence and arousal as in EMOCA and SMIRK: PCC, CCC (variances divided by n, as the official evaluation
does), RMSE and SAGR; of classes the accuracy, the recall of each and its mean. Intervals are percentiles of the
bootstrap (Efron 1979): faces drawn again with replacement.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from emoca_jax.errors import InputError
from emoca_jax.losses.affect import concordance, pearson, root_mean_square_error, sign_agreement
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES

DRAWS = 1000
CONFIDENCE = 0.95
CLASSES = len(AFFECTNET_CLASSES)
BINS = 10
"""Of a reliability plot."""
TEMPERATURES = (0.5, 20.0)
"""Where the best one is looked for."""
Measuring = Callable[[Array, Array], dict[str, Array]]


class Labels(NamedTuple):
    """What is known of faces, a row each."""

    expression: Int[np.ndarray, "faces"]
    """Index into `AFFECTNET_CLASSES`, -1 where it is not known."""
    valence: Float[np.ndarray, "faces"]
    """NaN where it is not known."""
    arousal: Float[np.ndarray, "faces"]


class Told(NamedTuple):
    """What a network tells of the same faces."""

    probabilities: Float[np.ndarray, "faces 8"]
    """0 for classes that it does not know."""
    valence: Float[np.ndarray, "faces"]
    arousal: Float[np.ndarray, "faces"]


class Measure(NamedTuple):
    """A measure and the ends of its confidence interval."""

    value: float
    low: float
    high: float


def measures(told: Told, labels: Labels, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Measure]:
    """V-PCC, V-CCC, V-RMSE, V-SAGR, the same of A-, accuracy and mean recall, for what is labelled at all.

    draws, seed: of the bootstrap. Errors: InputError where nothing is labelled or rows do not match.
    """
    found: dict[str, Measure] = {}
    if len({len(column) for column in (*told, *labels)}) != 1:
        raise InputError("labels and what is told must be of the same faces, a row each")
    for letter, prediction, truth in (("V", told.valence, labels.valence), ("A", told.arousal, labels.arousal)):
        known = np.isfinite(truth)
        if known.sum() > 1:
            both = jnp.asarray(prediction[known], jnp.float32), jnp.asarray(truth[known], jnp.float32)
            found |= _with_intervals(f"{letter}-", _affect_measures, both, draws, seed)
    known = labels.expression >= 0
    if known.any():
        told_class = jnp.asarray(told.probabilities.argmax(-1)[known], jnp.int32)
        right_class = jnp.asarray(labels.expression[known], jnp.int32)
        found |= _with_intervals("", _class_measures, (told_class, right_class), draws, seed)
    if not found:
        raise InputError("no face has a label: give an expression, or valence and arousal")
    return found


def confusion(told: Told, labels: Labels) -> Int[np.ndarray, "8 8"]:
    """Faces of each class (rows) by the class that is told (columns); those without a class are left out."""
    known = labels.expression >= 0
    table = np.zeros((CLASSES, CLASSES), int)
    np.add.at(table, (labels.expression[known], told.probabilities.argmax(-1)[known]), 1)
    return table


class Bin(NamedTuple):
    """Faces of whose class a network was about as sure."""

    sure: float
    """Mean probability of the class it told."""
    right: float
    """Share of them told right."""
    faces: int


def reliability(told: Told, labels: Labels, *, bins: int = BINS) -> list[Bin]:
    """Faces by how sure their classes were told, in equal bins of sureness from the least on; empty bins are left out
    (Guo et al., arXiv:1706.04599)."""
    known = labels.expression >= 0
    sure, right = told.probabilities.max(-1)[known], told.probabilities.argmax(-1)[known] == labels.expression[known]
    place = np.minimum((sure * bins).astype(int), bins - 1)
    inside = (place == row for row in np.unique(place))
    return [Bin(float(sure[row].mean()), float(right[row].mean()), int(row.sum())) for row in inside]


def calibration_error(told: Told, labels: Labels, *, bins: int = BINS) -> float:
    """Expected calibration error: how far the share of right answers is from how sure they were, over the bins of
    `reliability`. NaN without a labelled class."""
    parts = reliability(told, labels, bins=bins)
    if not parts:
        return float("nan")
    return sum(abs(part.right - part.sure) * part.faces for part in parts) / sum(part.faces for part in parts)


def temperature(
    probabilities: Float[np.ndarray, "faces classes"], expression: Int[np.ndarray, "faces"], *, floor: float = 1e-6
) -> float:
    """By which a network's logits have to be divided for the right classes to be likeliest (temperature scaling, Guo et
    al., arXiv:1706.04599); more than 1 where it is too sure. floor: of probabilities, for classes it does not know."""
    logits = np.log(np.maximum(probabilities, floor))

    def unlikely(heat: float) -> float:
        return -float(np.mean(log_softmax(logits / heat, axis=-1)[np.arange(len(expression)), expression]))

    found: Any = minimize_scalar(unlikely, bounds=TEMPERATURES, method="bounded")
    return float(found.x)


def cooled(probabilities: Float[np.ndarray, "faces classes"], heat: float) -> Float[np.ndarray, "faces classes"]:
    """Probabilities whose logits are divided by a temperature; those that are 0 stay 0."""
    scaled = probabilities ** (1 / heat)
    return scaled / scaled.sum(axis=-1, keepdims=True)


def cross_validated(told: Told, labels: Labels, folds: Int[np.ndarray, "faces"]) -> Told:
    """Valence and arousal mapped to the labels' scale, fold by fold, by a map that the other folds chose: both of them,
    scaled, mixed and shifted (least squares). Classes stay. Faces without both labels choose nothing.

    Errors: InputError where there is only one fold.
    """
    inputs = np.stack([told.valence, told.arousal, np.ones(len(folds))], axis=1)
    truth = np.stack([labels.valence, labels.arousal], axis=1)
    known = np.isfinite(truth).all(axis=1)
    if len(np.unique(folds)) < 2:
        raise InputError("cross-validation needs two folds at least")
    mapped = np.empty((len(folds), 2))
    for fold in np.unique(folds):
        chosen_by = known & (folds != fold)
        mapped[folds == fold] = inputs[folds == fold] @ np.linalg.lstsq(inputs[chosen_by], truth[chosen_by])[0]
    return Told(told.probabilities, mapped[:, 0], mapped[:, 1])


def _affect_measures(prediction: Float[Array, "faces"], truth: Float[Array, "faces"]) -> dict[str, Array]:
    return {
        "PCC": pearson(prediction, truth),
        "CCC": concordance(prediction, truth, correction=0),
        "RMSE": root_mean_square_error(prediction, truth),
        "SAGR": sign_agreement(prediction, truth),
    }


def _class_measures(told: Int[Array, "faces"], right: Int[Array, "faces"]) -> dict[str, Array]:
    hit = (told == right).astype(jnp.float32)
    of_class = (right[None] == jnp.arange(CLASSES)[:, None]).astype(jnp.float32)
    faces: Float[Array, "8"] = of_class.sum(axis=1)
    there = (faces > 0).astype(jnp.float32)
    # A class without faces has no hits.
    recall = jnp.sum(of_class * hit[None], axis=1) / jnp.maximum(faces, 1.0)
    return {"accuracy": hit.mean(), "mean recall": jnp.sum(recall) / jnp.sum(there)}


def _with_intervals(
    prefix: str, measure: Measuring, columns: tuple[Array, Array], draws: int, seed: int
) -> dict[str, Measure]:
    rows = jax.random.randint(jax.random.key(seed), (draws, len(columns[0])), 0, len(columns[0]))
    value, again = _resampled(measure, columns, rows)
    tail = 50 * (1 - CONFIDENCE)
    ends = {name: np.percentile(np.asarray(again[name]), (tail, 100 - tail)) for name in value}
    return {f"{prefix}{name}": Measure(float(value[name]), *map(float, ends[name])) for name in value}


@functools.partial(jax.jit, static_argnums=0)
def _resampled(
    measure: Measuring, columns: tuple[Array, Array], rows: Int[Array, "draws faces"]
) -> tuple[dict[str, Array], dict[str, Array]]:
    def again(chosen: Int[Array, "faces"]) -> dict[str, Array]:
        return measure(*(column[chosen] for column in columns))

    return measure(*columns), jax.lax.map(again, rows, batch_size=64)
