"""VGG-19's activations against the official ID-MRF network on the reference's made-up weights."""

from __future__ import annotations

import jax
import numpy as np

from emoca_jax.convert.readers.networks import vgg19
from emoca_jax.nets.vgg import VGG19
from tests import reference_weights
from tests.nets.closeness import assert_close

# README of the reference numbers: 1e-4; what float32 leaves over is far less.
RELATIVE = 2e-5


def test_activations_are_the_official_ones():
    expected = reference_weights.golden("losses_nets")
    translated = vgg19(reference_weights.vgg19())
    skipped = [row.source for row in translated.rows if row.target is None]
    assert skipped[0] == "features.21.weight"
    assert len(skipped) == 14
    features = jax.jit(VGG19().apply)(translated.variables, reference_weights.images()[:2, 32:160, 48:176])
    for name, array in zip(features._fields, features, strict=True):
        every_16th = np.asarray(array).transpose(0, 3, 1, 2)[:, ::16]
        assert_close(every_16th[..., ::4, ::4], expected[f"vgg_{name}__s4"], RELATIVE)
        squares = np.sum(every_16th.astype(np.float64) ** 2)
        np.testing.assert_allclose(squares, expected[f"vgg_{name}__stat"][4], rtol=1e-5)


def test_bare_keys_are_read_too():
    """The detail stage's checkpoint carries the network without `features.`."""
    bare = {key.removeprefix("features."): value for key, value in reference_weights.vgg19().items()}
    assert vgg19(bare).rows[0].target == "params/conv1_1/kernel"
