"""The identity network against the official one on the reference's made-up weights."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from emoca_jax.convert.readers.networks import identity_resnet50
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.identity import MEAN_BGR, identity_features
from emoca_jax.nets.resnet import ResNet50
from tests import reference_weights
from tests.nets.closeness import ALLOWED, assert_close, noise_floor


@pytest.fixture(scope="module")
def translated():
    return identity_resnet50(reference_weights.vggface2())


def test_features_are_the_official_ones(translated):
    expected, images = reference_weights.golden("losses_nets"), reference_weights.images()
    assert [row.source for row in translated.rows if row.target is None] == ["fc.weight", "fc.bias"]
    both = np.concatenate([0.8 * images[:2] + 0.2 * images[2:], images[:2]])
    tolerance = ALLOWED * noise_floor("vggface2_feat")
    for folded in (False, True):
        variables = fold_batch_norms(translated.variables) if folded else translated.variables
        features = jax.jit(lambda v, x, folded=folded: identity_features(v, x, folded=folded))(variables, both)
        assert_close(features[:2], expected["identity_features_gen"], tolerance)
        assert_close(features[2:], expected["identity_features_tar"], tolerance)


def test_the_network_alone_takes_bgr_less_its_mean(translated):
    raw = reference_weights.images()[:2, :, :, ::-1] * 255 - np.float32(MEAN_BGR)
    features = jax.jit(ResNet50("vggface2").apply)(translated.variables, raw)
    expected = reference_weights.golden("losses_nets")["identity_feat_raw_input"]
    assert_close(features, expected, ALLOWED * noise_floor("vggface2_feat"))
