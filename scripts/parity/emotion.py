"""The emotion network, the emotion consistency loss, EMO-MLP, and the measures that emotion networks are judged by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax.losses import affect
from emoca_jax.losses.emotion_consistency import (
    FeatureDistance,
    affect_distance,
    emotion_feature_distance,
    expression_distance,
)
from emoca_jax.nets.convolution import max_pool
from emoca_jax.nets.emotion.mlp import EmotionMLP, emotion_inputs
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from parity.assets import Assets
from parity.golden import EXACT, Comparison, Golden, Tolerance
from parity.layout import to_first
from parity.losses_nets import mixed
from parity.noise import GRADIENT, NETWORK, within_noise

LOSS, MEASURE = Tolerance(relative=1e-4), Tolerance(absolute=1e-6, relative=1e-6)
SMALL = Tolerance(absolute=1e-6, relative=1e-4)
"""For differences of numbers of the size of 1, which cancel down to its rounding."""
KINDS: dict[str, FeatureDistance] = {"mse": "squared", "l1": "absolute", "cosine": "cosine"}
SUBSET_CHANNELS, SUBSET_PIXELS = 8, 4
SCHEMES: dict[str, affect.Scheme] = {"None": "sum", "norm": "mean"}
SHAKE_SEED = 0


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from _network(assets, golden)
    yield from _consistency(assets, golden)
    yield from _mlp(assets, golden)
    yield from _measures(golden)


def _network(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    @jax.jit
    def run(variables, images):
        network = EmotionResNet50()
        answer: Any = network.apply(
            variables, images, capture_intermediates=lambda module, method: module.name in ("trunk", "conv1")
        )
        found, kept = answer
        first = kept["intermediates"]["trunk"]["conv1"]["__call__"][0]
        # Padding 0 with ceil_mode: one column more at the far end.
        return found, max_pool(jax.nn.relu(first), 0, 1)

    found, pooled = run(assets.variables("emotion_resnet50"), assets.images)
    yield from golden.check("cnn_emo_feat_2", found.features[..., None, None], within_noise("vggface2_feat"))
    yield from golden.check("cnn_valence", found.valence[:, None], NETWORK)
    yield from golden.check("cnn_arousal", found.arousal[:, None], NETWORK)
    log_probabilities = jax.nn.log_softmax(found.expression_logits)
    yield from golden.check("cnn_expr_classification", log_probabilities, NETWORK)
    early = to_first(pooled)
    part = early[:, ::SUBSET_CHANNELS, ::SUBSET_PIXELS, ::SUBSET_PIXELS]
    yield from golden.check("cnn_after_maxpool_sub", part, NETWORK)
    yield from golden.check("cnn_after_maxpool_shape", early.shape, EXACT)


def _consistency(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    rendering, photo = mixed(assets.images)
    network, variables = EmotionResNet50(), assets.variables("emotion_resnet50")
    target = jax.jit(network.apply)(variables, photo)

    def loss(rendering, variables, target):
        found: Any = network.apply(variables, rendering)
        return emotion_feature_distance(found.features, target.features), found

    (_, found), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(rendering, variables, target)
    yield from golden.check("emoloss_mse_feat_2_grad", to_first(gradient), GRADIENT)
    for name, kind in KINDS.items():
        value = emotion_feature_distance(found.features, target.features, kind=kind)
        tolerance = SMALL if kind == "cosine" else LOSS
        yield from golden.check(f"emoloss_{name}_feat_2", value, tolerance)
        for part, measure in (
            ("valence", affect_distance(found.valence, target.valence)),
            ("arousal", affect_distance(found.arousal, target.arousal)),
            ("expression", expression_distance(found.expression_logits, target.expression_logits)),
        ):
            if f"emoloss_{name}_{part}" in golden:
                yield from golden.check(f"emoloss_{name}_{part}", measure, SMALL)


def _mlp(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    names = ("emodeca_shapecode", "emodeca_expcode", "emodeca_posecode")
    yield from golden.inputs(*names)
    shape, expression, pose = (jnp.asarray(golden[name]) for name in names)
    variables = assets.variables("emotion_mlp")
    found = jax.jit(EmotionMLP().apply)(variables, emotion_inputs(shape, expression, pose[:, 3:]))
    yield from golden.check("emodeca_valence", found.valence[:, None], NETWORK)
    yield from golden.check("emodeca_arousal", found.arousal[:, None], NETWORK)
    yield from golden.check("emodeca_expr_classification", jax.nn.log_softmax(found.expression_logits), NETWORK)
    kinds = {"hidden": "Linear", "norm": "BatchNorm1d", "slope": "LeakyReLU"}
    hidden = sum(name.startswith("hidden") for name in variables["params"])
    layers = [*kinds.values()] * hidden + ["Linear"]
    yield from golden.check("emodeca_layer_names", np.array([f"{i}:{layer}" for i, layer in enumerate(layers)]), EXACT)


def _measures(golden: Golden) -> Iterator[Comparison]:
    names = ("v_pred", "a_pred", "v_gt", "a_gt")
    yield from golden.inputs(*(f"met_{name}" for name in (*names, "expr_logprob", "expr_gt", "class_weight")))
    valence, arousal, valence_truth, arousal_truth = (jnp.asarray(golden[f"met_{name}"])[:, 0] for name in names)
    logits, labels = jnp.asarray(golden["met_expr_logprob"]), jnp.asarray(golden["met_expr_gt"])[:, 0]
    weights = jnp.asarray(golden["met_class_weight"])
    measures = affect.valence_arousal_measures(valence, arousal, valence_truth, arousal_truth)
    for name, found in measures.items():
        if f"metric_{name}" in golden:
            yield from golden.check(f"metric_{name}", np.reshape(found, golden[f"metric_{name}"].shape), MEASURE)
    expression = affect.expression_measures(logits, labels, class_weights=weights)
    for name, found in (
        ("metric_expr_nll", expression.nll),
        ("metric_expr_weighted_nll", expression.balanced_nll),
        ("metric_expr_acc", expression.accuracy),
        ("loss_expr_balanced", expression.balanced_nll),
        ("met_np_ACC", expression.accuracy),
    ):
        yield from golden.check(name, found, MEASURE)
    for scheme, ours in SCHEMES.items():
        for mode in ("train", "eval"):
            losses = affect.valence_arousal_loss(measures, affect.mixing(ours))
            for name, found in losses.items():
                yield from golden.check(f"loss_{scheme}_{mode}_{name}", found, MEASURE)
            yield from golden.check(f"loss_{scheme}_{mode}_expr", expression.nll, MEASURE)
    # The official mix draws from NumPy's global generator.
    draws = np.random.RandomState(SHAKE_SEED).rand(len(affect.TERMS))
    mix = np.array(list(affect.mixing("shake", draws=jnp.asarray(draws)).values()))
    yield from golden.check("shake_weights_npseed0", mix, MEASURE)
    yield from _evaluation(golden, valence, valence_truth)
    agreement = [affect.intraclass_correlation(v, gt) for v, gt in ((valence, valence_truth), (arousal, arousal_truth))]
    yield from golden.check("met_np_ICC", np.array(agreement), MEASURE)


def _evaluation(golden: Golden, valence: jnp.ndarray, truth: jnp.ndarray) -> Iterator[Comparison]:
    """The measures of the evaluation scripts, of valence."""
    for name, found in (
        ("np_RMSE", affect.root_mean_square_error(valence, truth)),
        ("np_SAGR", affect.sign_agreement(valence, truth)),
        ("np_PCC", affect.pearson(valence, truth)),
        ("np_CCC", affect.concordance(valence, truth, correction=0)),
        ("torch_RMSE", affect.root_mean_square_error(valence, truth)),
        ("torch_SAGR", affect.sign_agreement(valence, truth)),
        ("torch_PCC", affect.pearson(valence, truth)[None, None]),
        ("torch_CCC", affect.concordance(valence, truth)[None, None]),
    ):
        yield from golden.check(f"met_{name}", found, MEASURE)
