"""The emotion ResNet-50 against numbers of the official code (golden/seed0/emotion.npz), forward and backward."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.convert.readers.emotion_networks import emotion_resnet50
from emoca_jax.errors import InputError
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from tests import reference_weights as reference

TOLERANCE = 1e-5
"""Largest difference over the RMS of the official values; the official code's own fp32 error is 1 to 2e-6."""


@pytest.fixture(scope="module")
def translated():
    return emotion_resnet50(reference.emotion_resnet())


@pytest.fixture(scope="module")
def golden():
    return reference.golden("emotion")


def assert_close(ours, official, tolerance=TOLERANCE):
    official = np.asarray(official, np.float64)
    rms = np.sqrt(np.mean(official**2))
    np.testing.assert_allclose(np.asarray(ours), official, rtol=0, atol=tolerance * rms)


@pytest.mark.parametrize("folded", [False, True])
def test_reads_what_the_official_network_reads(translated, golden, folded):
    variables = fold_batch_norms(translated.variables) if folded else translated.variables
    read = jax.jit(EmotionResNet50(folded=folded).apply)(variables, reference.images())
    assert_close(read.features, golden["cnn_emo_feat_2"][..., 0, 0])
    assert_close(jax.nn.log_softmax(read.expression_logits), golden["cnn_expr_classification"])
    assert_close(read.valence, golden["cnn_valence"][:, 0])
    assert_close(read.arousal, golden["cnn_arousal"][:, 0])


@pytest.mark.slow
def test_gradient_of_the_feature_distance_reaches_the_picture(translated, golden):
    """EMOCA's emotion consistency: mean squared difference of features of a photo and of a rendering, here a blend."""
    images = reference.images()
    photos, blends = images[:2], 0.8 * images[:2] + 0.2 * images[2:]

    def distance(blend):
        read: Any = EmotionResNet50().apply(translated.variables, jnp.concatenate([photos, blend]))
        return jnp.mean((read.features[:2] - read.features[2:]) ** 2)

    value, gradient = jax.jit(jax.value_and_grad(distance))(blends)
    np.testing.assert_allclose(value, golden["emoloss_mse_feat_2"], rtol=1e-4)
    # A difference of nearly equal features: 1e-3 of the RMS is what fp32 leaves (reference README: 1e-3).
    assert_close(gradient.transpose(0, 3, 1, 2)[:, :, ::8, ::8], golden["emoloss_mse_feat_2_grad__s8"], 1e-3)


def test_every_key_of_the_checkpoint_is_accounted_for(translated):
    state = reference.emotion_resnet()
    assert [row.source for row in translated.rows] == list(state)
    left_out = {row.note for row in translated.rows if row.target is None}
    assert left_out == {"classifier of identities", "count of training batches"}
    del state["linear.bias"]
    with pytest.raises(InputError, match=r"linear\.bias \[10\]"):
        emotion_resnet50(state)
