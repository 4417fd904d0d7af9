"""The affect rule: values that follow from its definition by hand, and what must hold for every face."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emoca_jax.emotion.rule import ACTION_UNITS, affect_from_units

SIDED = (
    *("browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp"),
    *(
        "eyeSquint",
        "eyeWide",
        "mouthDimple",
        "mouthFrown",
        "mouthLowerDown",
        "mouthPress",
        "mouthSmile",
        "mouthStretch",
    ),
    *("mouthUpperUp", "noseSneer", "jaw", "mouth"),
)
MIDDLE = (
    *(
        "browInnerUp",
        "cheekPuff",
        "jawForward",
        "jawOpen",
        "mouthClose",
        "mouthFunnel",
        "mouthPucker",
        "mouthRollLower",
    ),
    *("mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "tongueOut"),
)
ARKIT = (*MIDDLE, *(f"{name}{side}" for name in SIDED for side in ("Left", "Right")))
MIRROR = [ARKIT.index(name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")) for name in ARKIT]
affect = jax.jit(lambda expression: affect_from_units(expression, ARKIT))
faces = arrays(np.float32, 52, elements=st.floats(0, 1, width=32))


def face(**units: float) -> np.ndarray:
    """Unit weights by name; a name without its side means both sides."""
    weights = np.zeros(52, np.float32)
    for name, value in units.items():
        sides = [name] if name in ARKIT else [f"{name}Left", f"{name}Right"]
        for side in sides:
            weights[ARKIT.index(side)] = value
    return weights


def test_the_names_are_arkits():
    assert len(ARKIT) == len(set(ARKIT)) == 52
    assert {unit for units in ACTION_UNITS.values() for unit in units} <= set(ARKIT)


@pytest.mark.parametrize(
    ("units", "valence", "arousal"),
    [
        ({}, 0.0, -1.0),
        # Happy 12 x (1 + 6) / 2; two action units of five.
        ({"mouthSmile": 0.8, "cheekSquint": 0.5}, 0.6, 2 * 1.3 / 5 - 1),
        # A raised cheek without a smile is no happiness.
        ({"cheekSquint": 1.0}, 0.0, 2 / 5 - 1),
        # Anger 4 x (1 + (7 + 23) / 2) / 2.
        ({"browDown": 0.8, "eyeSquint": 0.4, "mouthPress": 0.2}, -0.8 * (1 + 0.3) / 2, 2 * 1.4 / 5 - 1),
        # Sad (1 + 15) / 2 x (1 + 4) / 2, stronger here than anger's 0.2 / 2.
        ({"browInnerUp": 0.6, "mouthFrown": 0.4, "browDown": 0.2}, -0.5 * 1.2 / 2, 2 * 1.2 / 5 - 1),
        # Surprise has no valence: nothing of fear's 4 and 20, and inner brows no higher than outer ones are not sad.
        ({"browInnerUp": 0.8, "browOuterUp": 1.0, "eyeWide": 1.0, "jawOpen": 1.0}, 0.0, 2 * 3.8 / 5 - 1),
        # Fear (4 + 20) / 2 x (1 + (1 + 2 + 5 + 26) / 4) / 2.
        (
            {
                "browInnerUp": 0.6,
                "browOuterUp": 0.6,
                "eyeWide": 0.4,
                "browDown": 0.4,
                "mouthStretch": 0.6,
                "jawOpen": 0.4,
            },
            -0.5 * 1.5 / 2,
            2 * 2.6 / 5 - 1,
        ),
        # A one-sided dimple is contempt, a two-sided one is not.
        ({"mouthDimpleLeft": 0.5}, -0.5, 2 * 0.25 / 5 - 1),
        ({"mouthDimple": 0.5}, 0.0, 2 * 0.5 / 5 - 1),
        # The strongest negative emotion counts, not their sum; only five action units count.
        ({name: 1.0 for name in ARKIT}, 0.0, 1.0),
        ({"noseSneer": 0.6, "mouthUpperUp": 0.5, "mouthSmile": 0.4}, 0.2 - 0.6 * 1.5 / 2, 2 * 1.5 / 5 - 1),
    ],
)
def test_values_follow_from_the_prototypes(units, valence, arousal):
    np.testing.assert_allclose(affect(face(**units)), (valence, arousal), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(faces, st.floats(0, 1, width=32))
def test_more_smile_never_lowers_valence_and_more_of_anything_never_arousal(weights, more):
    valence, arousal = affect(weights)
    assert -1 <= valence <= 1
    assert -1 <= arousal <= 1
    smiling = np.maximum(weights, face(mouthSmile=more))
    assert affect(smiling)[0] >= valence - 1e-6
    assert affect(np.maximum(weights, more))[1] >= arousal - 1e-6


@settings(max_examples=30, deadline=None)
@given(faces)
def test_a_face_and_its_mirror_image_feel_the_same(weights):
    np.testing.assert_allclose(affect(weights), affect(weights[MIRROR]), atol=1e-6)


def test_batches_weights_out_of_range_and_gradients():
    batch = np.random.default_rng(0).uniform(-0.2, 1.2, (2, 3, 52)).astype(np.float32)
    valence, arousal = affect_from_units(batch, ARKIT)
    assert valence.shape == arousal.shape == (2, 3)
    np.testing.assert_allclose((valence[1, 2], arousal[1, 2]), affect(np.clip(batch[1, 2], 0, 1)), atol=1e-6)
    gradient = jax.grad(lambda w: sum(affect(w)))(jnp.asarray(face(mouthSmile=0.5)))
    assert np.isfinite(gradient).all()
    # Happy grows by 1/2, arousal by 2/5, shared by the two sides.
    np.testing.assert_allclose(gradient[ARKIT.index("mouthSmileLeft")], (1 / 2 + 2 / 5) / 2, atol=1e-6)


def test_unnamed_coordinates_have_no_affect():
    assert np.isnan(affect_from_units(np.zeros((4, 50), np.float32), ())).all()
