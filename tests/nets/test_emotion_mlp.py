"""EMO-MLP against numbers of the official code (golden/seed0/emotion.npz), and its training against torch's layers."""

from typing import Any

import jax
import numpy as np
import pytest

from emoca_jax.convert.readers.emotion_networks import emotion_mlp
from emoca_jax.errors import InputError
from emoca_jax.nets.emotion.mlp import EmotionMLP, emotion_inputs
from tests import reference_weights as reference

TOLERANCE = 1e-5
"""Relative to the RMS of the official values, which are of order 4."""


@pytest.fixture(scope="module")
def golden():
    return reference.golden("emotion")


@pytest.fixture(scope="module")
def codes(golden):
    jaw = golden["emodeca_posecode"][:, 3:]
    return np.array(emotion_inputs(golden["emodeca_shapecode"], golden["emodeca_expcode"], jaw))


def assert_close(ours, official, tolerance=TOLERANCE):
    official = np.asarray(official, np.float64)
    np.testing.assert_allclose(np.asarray(ours), official, rtol=0, atol=tolerance * np.sqrt(np.mean(official**2)))


def test_reads_what_the_official_network_reads(golden, codes):
    state = reference.emotion_mlp() | {"deca.E_flame.layers.2.bias": np.zeros(236, np.float32)}
    translated = emotion_mlp(state)
    read = jax.jit(EmotionMLP().apply)(translated.variables, codes)
    assert_close(read.valence, golden["emodeca_valence"][:, 0])
    assert_close(read.arousal, golden["emodeca_arousal"][:, 0])
    assert_close(jax.nn.log_softmax(read.expression_logits), golden["emodeca_expr_classification"])
    assert "3D face network" in translated.rows[-1].note


def torch_mlp(state):
    from torch import from_numpy, nn

    layers = []
    for width in (153, 2048, 2048, 2048):
        layers += [nn.Linear(width, 2048), nn.BatchNorm1d(2048), nn.LeakyReLU(0.2)]
    network = nn.Sequential(*layers, nn.Linear(2048, 10))
    weights = {key.removeprefix("mlp.model."): from_numpy(np.array(value)) for key, value in state.items()}
    network.load_state_dict(weights)
    return network


def test_training_mode_equals_torch(codes):
    """One step: the batch's own statistics normalise it, and move the running ones (unbiased variance, share 0.1)."""
    torch = pytest.importorskip("torch")
    state = reference.emotion_mlp()
    network = torch_mlp(state).train()
    with torch.no_grad():
        official = network(torch.from_numpy(codes)).numpy()
    read, changed = EmotionMLP().apply(emotion_mlp(state).variables, codes, train=True, mutable=["batch_stats"])
    assert_close(read.valence, official[:, 8])
    assert_close(read.expression_logits, official[:, :8])
    for index in range(4):
        ours, torchs = changed["batch_stats"][f"norm{index}"], network[3 * index + 1]
        assert_close(ours["mean"], torchs.running_mean)
        assert_close(ours["var"], torchs.running_var)


def test_networks_on_detail_codes_are_taken_and_on_other_codes_refused(codes):
    state = reference.emotion_mlp()
    first = state["mlp.model.0.weight"]
    state["mlp.model.0.weight"] = np.concatenate([first, np.zeros((2048, 128), np.float32)], axis=1)
    wide = emotion_inputs(codes[:, :100], codes[:, 100:150], codes[:, 150:], detail=np.ones((6, 128), np.float32))
    with_detail: Any = EmotionMLP().apply(emotion_mlp(state).variables, wide)
    without: Any = EmotionMLP().apply(emotion_mlp(reference.emotion_mlp()).variables, codes)
    np.testing.assert_allclose(with_detail.valence, without.valence, rtol=1e-5, atol=1e-5)
    state["mlp.model.0.weight"] = first[:, :53]
    with pytest.raises(InputError, match="takes 53 numbers"):
        emotion_mlp(state)
