"""What emotion networks are trained and judged by: valence, arousal and expression against labels.

Measures have the official names: `v_`, `a_` and `va_` for valence, arousal and both; an `l` in front of a correlation
makes it a loss, one minus the mean of both. Sources: EMOCA (arXiv:2204.11312) supplementary material, EmoNet (Nature
Machine Intelligence 2021), Lin's concordance (Biometrics 1989).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emoca_jax.arrays import checks_arguments

Values = Float[Array, "faces"]
Scalar = Float[Array, ""]
Scheme = Literal["sum", "mean", "shake"]

TERMS = {"v_mse": 1.0, "a_mse": 1.0, "va_lpcc": 1.0, "va_lccc": 1.0}
"""Terms of the official training and their weights."""


@checks_arguments
def root_mean_square_error(prediction: Values, truth: Values) -> Scalar:
    """A measure: its gradient is not finite where all predictions are right; train on the mean square."""
    return jnp.sqrt(jnp.mean((prediction - truth) ** 2))


@checks_arguments
def sign_agreement(prediction: Values, truth: Values) -> Scalar:
    """SAGR: share of faces whose value has the label's sign; 0 agrees with 0 only. No gradient."""
    return jnp.mean(jnp.sign(prediction) == jnp.sign(truth), dtype=jnp.float32)


@checks_arguments
def pearson(prediction: Values, truth: Values) -> Scalar:
    """PCC: correlation in [-1, 1]; 0, with gradient 0, where one of the two is constant."""
    of_prediction, of_truth, shared = _moments(prediction, truth, correction=0)
    product = of_prediction * of_truth
    varies = product > 0
    return jnp.where(varies, shared * jax.lax.rsqrt(jnp.where(varies, product, 1.0)), 0.0)


@checks_arguments
def concordance(prediction: Values, truth: Values, *, correction: int = 1) -> Scalar:
    """CCC: correlation that also asks for the label's mean and spread; 0 where both are one and the same constant.

    correction: 1 divides variances by n - 1, as the official training and its reports do; 0 by n, as Lin and the
    official evaluation in NumPy do (0.7616 against 0.7611 on 16 faces).
    """
    of_prediction, of_truth, shared = _moments(prediction, truth, correction)
    total = of_prediction + of_truth + (prediction.mean() - truth.mean()) ** 2
    differs = total > 0
    return jnp.where(differs, 2 * shared / jnp.where(differs, total, 1.0), 0.0)


@checks_arguments
def intraclass_correlation(prediction: Values, truth: Values) -> Scalar:
    """ICC(3, 1): consistency of two raters that rate every face once (Shrout and Fleiss, 1979, two-way mixed)."""
    ratings = jnp.stack([prediction, truth], axis=-1)
    faces, raters = ratings.shape
    centred = ratings - ratings.mean()
    between_faces = raters * jnp.sum(centred.mean(axis=1) ** 2)
    between_raters = faces * jnp.sum(centred.mean(axis=0) ** 2)
    rest = (jnp.sum(centred**2) - between_faces - between_raters) / (raters - 1)
    return (between_faces - rest) / (between_faces + (raters - 1) * rest)


@checks_arguments
def valence_arousal_measures(
    valence: Values, arousal: Values, valence_truth: Values, arousal_truth: Values
) -> dict[str, Scalar]:
    """mae, mse, rmse, pcc, ccc and sagr of valence and of arousal, and mae, mse, rmse, lpcc and lccc of both."""
    measures: dict[str, Scalar] = {}
    for name, prediction, truth in (("v", valence, valence_truth), ("a", arousal, arousal_truth)):
        measures |= {
            f"{name}_mae": jnp.mean(jnp.abs(prediction - truth)),
            f"{name}_mse": jnp.mean((prediction - truth) ** 2),
            f"{name}_rmse": root_mean_square_error(prediction, truth),
            f"{name}_pcc": pearson(prediction, truth),
            f"{name}_ccc": concordance(prediction, truth),
            f"{name}_sagr": sign_agreement(prediction, truth),
        }

    def mean(measure: str) -> Scalar:
        return (measures[f"v_{measure}"] + measures[f"a_{measure}"]) / 2

    return measures | {
        "va_mae": mean("mae"),
        "va_mse": mean("mse"),
        "va_rmse": jnp.sqrt(mean("mse")),
        "va_lpcc": 1 - mean("pcc"),
        "va_lccc": 1 - mean("ccc"),
    }


@checks_arguments
def mixing(
    scheme: Scheme, *, terms: Mapping[str, float] = TERMS, draws: Float[Array, "terms"] | None = None
) -> dict[str, Scalar]:
    """Factor of each term.

    "sum": its weight. "mean" (official name "norm"): its share of all weights. "shake", the official choice: a random
    convex mix, new in every step, from `draws` uniform in [0, 1]; at evaluation, where there are none, as "mean".
    """
    weights = jnp.array(list(terms.values()), jnp.float32)
    if scheme == "shake" and draws is not None:
        weights = weights * draws
    if scheme != "sum":
        weights = weights / weights.sum()
    return dict(zip(terms, weights, strict=True))


@checks_arguments
def valence_arousal_loss(measures: Mapping[str, Scalar], factors: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The terms that are trained on, each times its factor of `mixing`; their sum is the loss."""
    return {name: factor * measures[name] for name, factor in factors.items()}


@checks_arguments
def share_between_views(features: Float[Array, "faces views size"]) -> Scalar:
    """Share of features' variance that lies between views of the same face: 0 where all views of a face have the same
    features, whatever their scale, 1 where faces do not differ but by view; 0 where nothing varies.

    A loss for features that are to say the same of a face's photo and of its renderings.
    """
    within = jnp.mean((features - features.mean(axis=1, keepdims=True)) ** 2)
    total = jnp.mean((features - features.mean(axis=(0, 1), keepdims=True)) ** 2)
    varies = total > 0
    return jnp.where(varies, within / jnp.where(varies, total, 1.0), 0.0)


class ExpressionMeasures(NamedTuple):
    """How well classes are told."""

    nll: Scalar
    """Mean of minus the logarithm of the right class's probability."""
    balanced_nll: Scalar
    """The same with classes weighted: the loss where they are unequally frequent."""
    accuracy: Scalar
    """Share of faces whose most probable class is the label. No gradient."""


@checks_arguments
def expression_measures(
    logits: Float[Array, "faces classes"],
    labels: Int[Array, "faces"],
    *,
    class_weights: Float[Array, "classes"] | None = None,
) -> ExpressionMeasures:
    """Of logits, or log-probabilities, against the right classes.

    class_weights: how much a face of each class counts in `balanced_nll`, all alike where None; only their ratios
    matter.
    """
    each = -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)[:, 0]
    weights = jnp.ones_like(each) if class_weights is None else class_weights[labels]
    hits = jnp.argmax(logits, axis=-1) == labels
    return ExpressionMeasures(each.mean(), jnp.sum(weights * each) / weights.sum(), hits.mean(dtype=jnp.float32))


def _moments(first: Values, second: Values, correction: int) -> tuple[Scalar, Scalar, Scalar]:
    """Variance of each and their covariance; all 0 for a single face."""
    first, second = first - first.mean(), second - second.mean()
    count = max(first.shape[0] - correction, 1)
    return tuple(jnp.sum(a * b) / count for a, b in ((first, first), (second, second), (first, second)))  # type: ignore
