"""Measures and losses of emotion against the official code's numbers, SciPy, and what must hold for any faces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from emoca_jax.losses import affect
from tests import reference_weights as reference

TOLERANCE = 1e-6
"""Relative, of scalars in fp32; the sums of 16 differences that variances are made of cost a few units of 6e-8."""


@pytest.fixture(scope="module")
def golden():
    return reference.golden("emotion")


@pytest.fixture(scope="module")
def values(golden):
    """Valence, arousal, and their labels, of 16 faces."""
    return [jnp.asarray(golden[f"met_{name}"][:, 0]) for name in ("v_pred", "a_pred", "v_gt", "a_gt")]


def test_every_measure_of_valence_and_arousal(golden, values):
    measures = affect.valence_arousal_measures(*values)
    official = {key.removeprefix("metric_"): value for key, value in golden.items() if key.startswith("metric_")}
    assert {f"expr_{name}" for name in ("nll", "weighted_nll", "acc")} | set(measures) == set(official)
    for name, value in measures.items():
        np.testing.assert_allclose(value, official[name].squeeze(), rtol=TOLERANCE, err_msg=name)


def test_measures_of_the_official_evaluation_in_numpy(golden, values):
    valence, arousal, valence_truth, arousal_truth = values
    for ours, name in (
        (affect.root_mean_square_error(valence, valence_truth), "RMSE"),
        (affect.sign_agreement(valence, valence_truth), "SAGR"),
        (affect.pearson(valence, valence_truth), "PCC"),
        (affect.concordance(valence, valence_truth, correction=0), "CCC"),
    ):
        np.testing.assert_allclose(ours, golden[f"met_np_{name}"], rtol=TOLERANCE, err_msg=name)
    both = [affect.intraclass_correlation(*pair) for pair in ((valence, valence_truth), (arousal, arousal_truth))]
    np.testing.assert_allclose(both, golden["met_np_ICC"], rtol=TOLERANCE)


@pytest.mark.parametrize(("scheme", "official"), [("sum", "None"), ("mean", "norm")])
@pytest.mark.parametrize("stage", ["eval", "train"])
def test_schemes(golden, values, scheme, official, stage):
    terms = affect.valence_arousal_loss(affect.valence_arousal_measures(*values), affect.mixing(scheme))
    assert len(terms) == 4
    for name, value in terms.items():
        np.testing.assert_allclose(value, golden[f"loss_{official}_{stage}_{name}"], rtol=TOLERANCE, err_msg=name)


def test_shaken_weights_are_a_convex_mix_and_rest_at_evaluation(golden):
    draws = np.random.RandomState(0).rand(4).astype(np.float32)
    shaken = affect.mixing("shake", draws=jnp.asarray(draws))
    np.testing.assert_allclose(list(shaken.values()), golden["shake_weights_npseed0"], rtol=TOLERANCE)
    assert affect.mixing("shake") == affect.mixing("mean")


def test_expression(golden):
    labels, weights = golden["met_expr_gt"][:, 0], jnp.asarray(golden["met_class_weight"])
    found = affect.expression_measures(jnp.asarray(golden["met_expr_logprob"]), labels, class_weights=weights)
    np.testing.assert_allclose(found.nll, golden["metric_expr_nll"], rtol=TOLERANCE)
    np.testing.assert_allclose(found.nll, golden["loss_None_train_expr"], rtol=TOLERANCE)
    np.testing.assert_allclose(found.balanced_nll, golden["metric_expr_weighted_nll"], rtol=TOLERANCE)
    np.testing.assert_allclose(found.balanced_nll, golden["loss_expr_balanced"], rtol=TOLERANCE)
    np.testing.assert_allclose(found.accuracy, golden["met_np_ACC"], rtol=TOLERANCE)
    alike = affect.expression_measures(jnp.asarray(golden["met_expr_logprob"]) + 3, labels)
    np.testing.assert_allclose(
        alike.balanced_nll, found.nll, rtol=TOLERANCE, err_msg="logits are log-probabilities too"
    )


faces = st.tuples(*[st.lists(st.integers(-1000, 1000), min_size=8, max_size=8)] * 2)


@settings(max_examples=60, deadline=None)
@given(faces)
def test_correlations_of_any_faces(pair):
    """SciPy's, or 0 where there is none; the concordance never exceeds the correlation; gradients are finite."""
    prediction, truth = (jnp.asarray(values, jnp.float32) / 1000 for values in pair)
    pcc, ccc = affect.pearson(prediction, truth), affect.concordance(prediction, truth, correction=0)
    constant = len(set(pair[0])) == 1 or len(set(pair[1])) == 1
    expected = 0 if constant else float(stats.pearsonr(*(np.array(values) / 1000 for values in pair))[0])
    np.testing.assert_allclose(pcc, expected, atol=2e-4)
    assert abs(ccc) <= abs(pcc) + 2e-4
    for measure in (affect.pearson, affect.concordance):
        assert jnp.isfinite(jax.grad(measure)(prediction, truth)).all()


def test_one_face_has_no_correlation():
    one = jnp.array([0.3])
    assert affect.pearson(one, one) == 0 and affect.concordance(one, one) == 0
    assert jnp.isfinite(jax.grad(affect.concordance)(one, one)).all()


def test_training_on_the_terms_leads_to_the_labels():
    """Steps down the gradient of the shaken loss from noise: everything a network is judged by improves."""
    truth = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 32)), jnp.float32)
    draws = jax.random.uniform(jax.random.key(0), (4,))

    def loss(guess):
        measures = affect.valence_arousal_measures(*guess, *truth)
        return sum(affect.valence_arousal_loss(measures, affect.mixing("shake", draws=draws)).values())

    guess = jnp.asarray(np.random.default_rng(1).uniform(-1, 1, (2, 32)), jnp.float32)
    step = jax.jit(lambda guess: guess - 1.0 * jax.grad(loss)(guess))
    for _ in range(60):
        guess = step(guess)
    measures = affect.valence_arousal_measures(*guess, *truth)
    assert measures["va_rmse"] < 0.2 and measures["v_ccc"] > 0.9 and measures["a_ccc"] > 0.9


def test_share_between_views_is_the_part_of_variance_within_faces():
    draw = np.random.default_rng(3)
    features = draw.normal(size=(5, 3, 4)) + draw.normal(size=(5, 1, 4))
    within = np.mean([[np.var(face[:, k]) for k in range(4)] for face in features])
    rows = features.reshape(15, 4)
    total = np.mean([np.var(rows[:, k] - rows[:, k].mean()) for k in range(4)])
    for scale in (1.0, 30.0):
        found = affect.share_between_views(jnp.asarray(scale * features, jnp.float32))
        np.testing.assert_allclose(found, within / total, rtol=1e-5)
    same = jnp.asarray(np.repeat(features[:, :1], 3, axis=1), jnp.float32)
    value, gradient = jax.value_and_grad(affect.share_between_views)(same)
    assert value < 1e-12 and np.isfinite(gradient).all()
    assert affect.share_between_views(jnp.ones((2, 3, 4))) == 0
