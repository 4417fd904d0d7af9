"""EmoNet against numbers of the official code (golden/seed0/emonet.npz)."""

import jax
import numpy as np
import pytest

from emoca_jax.convert.readers.emotion_networks import emonet
from emoca_jax.errors import InputError
from emoca_jax.nets.emotion.emonet import EmoNet, emonet_images
from tests import reference_weights as reference

TOLERANCE = 1e-5
"""Largest difference over the RMS of the official values: heat maps 4e-6, the others 1 to 3e-6."""


def assert_close(ours, official):
    official = np.asarray(official, np.float64)
    np.testing.assert_allclose(np.asarray(ours), official, rtol=0, atol=TOLERANCE * np.sqrt(np.mean(official**2)))


def test_reads_what_the_official_network_reads():
    state = {f"module.{key}": value for key, value in reference.emonet().items()}
    translated = emonet(state)
    assert [row.source for row in translated.rows] == list(state)
    assert {row.note for row in translated.rows if row.target is None} == {"count of training batches"}
    golden = reference.golden("emonet")
    read = jax.jit(lambda variables, images: EmoNet().apply(variables, emonet_images(images)))(
        translated.variables, reference.images()
    )
    heat_maps = np.asarray(read.heat_maps.transpose(0, 3, 1, 2))
    assert_close(heat_maps[:, :, ::8, ::8], golden["heatmap__s8"])
    # Of the whole array: mean, standard deviation, least, greatest, sum of squares.
    whole = heat_maps.astype(np.float64)
    found = [whole.mean(), whole.std(), whole.min(), whole.max(), (whole**2).sum()]
    np.testing.assert_allclose(found, golden["heatmap__stat"], rtol=TOLERANCE)
    assert_close(read.expression_logits, golden["expression"])
    assert_close(read.valence, golden["valence"])
    assert_close(read.arousal, golden["arousal"])


def test_the_file_for_five_classes_is_refused():
    state = reference.emonet()
    state["emo_fc_2.3.weight"], state["emo_fc_2.3.bias"] = np.zeros((7, 128)), np.zeros(7)
    with pytest.raises(InputError, match=r"emo_fc_2\.3\.weight should be \[10, 128\] and is \[7, 128\]"):
        emonet(state)
