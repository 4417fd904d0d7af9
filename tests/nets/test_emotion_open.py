"""The expression networks against the runtimes their files were made for, and on the two photos that ship."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from emoca_jax.nets.emotion.crop import ExpressionCrop, crop_image
from emoca_jax.nets.emotion.open import (
    DENSE_CLASSES,
    EXPRESSION_CLASSES,
    XCEPTION_CLASSES,
    DenseExpression,
    MiniXception,
    expression_features,
    load_expression_networks,
    read_expression,
)

HALF_FLOAT_TOLERANCE = 0.03
"""Logits: fp16 weights move them by up to 0.023; with fp32 weights both networks agree to 1e-5 with their oracles."""
PHOTOS = {
    # Crops as `expression_crop` gives them on the shipped landmark network's points, in the plane of the top square.
    "astronaut.jpg": ("happy", ExpressionCrop(np.float32([-0.123, -0.507]), np.array(0.253), np.array(0.041))),
    "grace_hopper.jpg": ("neutral", ExpressionCrop(np.float32([0.030, -0.071]), np.array(0.481), np.array(-0.045))),
}


@pytest.fixture(scope="module")
def networks():
    return load_expression_networks()


def photo(name: str) -> np.ndarray:
    pixels = np.asarray(Image.open(Path(__file__).parents[2] / "examples" / name).convert("RGB"), np.float32) / 255
    return pixels[: pixels.shape[1]]


@pytest.fixture(scope="module")
def crops():
    cut = jax.jit(crop_image)
    return {name: cut(photo(name), crop) for name, (_, crop) in PHOTOS.items()}


@pytest.fixture(scope="module")
def reads(networks, crops):
    """Both crops in one compiled batch, in the order of PHOTOS."""
    return jax.jit(expression_features)(networks, jnp.stack(list(crops.values())))


def waves(size: int, channels: int) -> np.ndarray:
    """A made-up picture, 0..255, with no symmetry that a mistake could hide behind."""
    i, j, c = np.meshgrid(np.arange(size), np.arange(size), np.arange(channels), indexing="ij")
    return np.floor(127.5 + 60 * np.sin(i / 9 + c) + 60 * np.cos(j / 7 - c)).astype(np.float32)


def test_mini_xception_gives_the_numbers_of_the_keras_file(networks):
    """Logits: emotion_model.hdf5 run layer by layer in torch 2.13, batch norms apart. Probabilities: the package's own
    emotion_model_quantized.tflite under ai-edge-litert 2.3.0, off by its quantisation."""
    picture = waves(64, 1)[None] / 255 * 2 - 1
    weights = {"params": networks["params"]["xception"]}
    logits = jax.jit(MiniXception().apply)(weights, picture).logits[0]
    keras = [2.38144445, -5.97737694, 1.27352238, 0.28532565, 0.78336549, -1.08543634, 1.65165293]
    tflite = [0.47757426, 0.00009824, 0.15062906, 0.05582386, 0.08770579, 0.01502388, 0.21314499]
    np.testing.assert_allclose(logits, keras, atol=HALF_FLOAT_TOLERANCE)
    np.testing.assert_allclose(jax.nn.softmax(logits), tflite, atol=0.025)


def test_dense_expression_gives_the_numbers_of_face_api(networks):
    """Logits: @vladmandic/face-api 1.7.15, FaceExpressionNet.runNet under node 20, tfjs backend "cpu"."""
    picture = (waves(112, 3) - np.float32([122.782, 117.001, 104.298]))[None] / 255
    weights = {"params": networks["params"]["dense"]}
    logits = jax.jit(DenseExpression().apply)(weights, picture).logits[0]
    face_api = [-1.41420269, -8.00811291, -9.09987354, -7.28282499, -9.65064907, -9.44551563, -2.18878269]
    np.testing.assert_allclose(logits, face_api, atol=HALF_FLOAT_TOLERANCE)


@pytest.mark.parametrize("name", PHOTOS)
def test_reads_the_shipped_photos(networks, name):
    label, crop = PHOTOS[name]
    read = jax.jit(read_expression)(networks, photo(name), crop)
    assert EXPRESSION_CLASSES[int(jnp.argmax(read.probabilities))] == label
    assert read.probabilities.max() > 0.7
    np.testing.assert_allclose(read.probabilities.sum(), 1, atol=1e-5)


def test_normalisation_and_class_order_reach_the_logits(networks, crops, reads):
    """The combined read is each network's own answer, colours and classes put in order."""
    weights = {"params": networks["params"]["dense"]}
    picture = crops["astronaut.jpg"][None] - np.float32([[[[122.782, 117.001, 104.298]]]]) / 255
    alone = jax.jit(DenseExpression().apply)(weights, picture).logits[0]
    for index, name in enumerate(EXPRESSION_CLASSES):
        np.testing.assert_allclose(reads.logits[0, 1, index], alone[DENSE_CLASSES.index(name)], atol=1e-3)
    assert sorted(XCEPTION_CLASSES) == sorted(DENSE_CLASSES) == sorted(EXPRESSION_CLASSES)


@pytest.mark.thorough
def test_compiled_equals_eager(networks):
    """jaxlib 0.10.2 on CPU computed convolution networks wrongly under jit: this fails there."""
    weights, picture = {"params": networks["params"]["xception"]}, waves(64, 1)[None] / 255 * 2 - 1
    eager: Any = MiniXception().apply(weights, picture)
    compiled = jax.jit(MiniXception().apply)(weights, picture)
    np.testing.assert_allclose(compiled.pooled, eager.pooled, atol=1e-4)
    np.testing.assert_allclose(compiled.logits, eager.logits, atol=1e-4)


@pytest.mark.thorough
def test_feature_distance_sees_the_expression_and_its_gradient_leads_there(networks, crops, reads):
    """A few steps down the gradient of the distance turn the neutral face into one the networks call happy."""
    smiling = reads.features[0]

    @jax.jit
    def distance_and_gradient(crop):
        return jax.value_and_grad(lambda c: jnp.mean((expression_features(networks, c).features - smiling) ** 2))(crop)

    assert jnp.isfinite(distance_and_gradient(jnp.zeros((112, 112, 3)))[1]).all()
    neutral = crops["grace_hopper.jpg"]
    apart, _ = distance_and_gradient(neutral)
    mirrored, _ = distance_and_gradient(crops["astronaut.jpg"][:, ::-1])
    assert 0.5 < apart <= 4
    assert mirrored < 0.3 * apart
    crop = neutral
    for _ in range(10):
        _, gradient = distance_and_gradient(crop)
        assert jnp.isfinite(gradient).all()
        crop = jnp.clip(crop - 0.01 * jnp.sign(gradient), 0, 1)
    assert distance_and_gradient(crop)[0] < 0.5 * apart
    turned = jax.jit(expression_features)(networks, jnp.stack([crop, neutral])).probabilities
    assert [EXPRESSION_CLASSES[int(k)] for k in turned.argmax(axis=-1)] == ["happy", "neutral"]
