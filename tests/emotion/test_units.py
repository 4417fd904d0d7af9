"""EMO-MLP that ships: its arithmetic against NumPy's, and what it tells of faces that it has not learned from."""

from functools import cache
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_pipelines.open_faces.codes import Misfit, as_fitted, as_told, coded_faces, law_of, laws_of_file, read_fits
from emoca_jax import flame
from emoca_jax.emotion.units import ARKIT_UNITS, knows_units, load_units_network, read_units
from emoca_jax.errors import InputError
from emoca_jax.losses.affect import valence_arousal_measures
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES

faces = arrays(np.float32, 52, elements=st.floats(0, 1, width=32))
MIRROR = [
    ARKIT_UNITS.index(name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")) for name in ARKIT_UNITS
]


def read(units):
    return read_units(load_units_network(), jnp.asarray(units), ARKIT_UNITS)


@cache
def others():
    """Faces of a seed that neither training nor its judging used."""
    return {name: jnp.asarray(array) for name, array in coded_faces(flame.load_head("open"), 77, 1000).items()}


def test_the_order_is_the_open_heads():
    assert flame.load_head("open").expression_names == ARKIT_UNITS


def test_it_is_a_mean_of_two_plain_networks():
    weights = np.load(str(resources.files("emoca_jax") / "assets" / "emo_mlp_open.npz"))
    units = np.random.default_rng(0).uniform(0, 1, (3, 52))
    expected = np.zeros((3, 10))
    for side in (units, units[:, MIRROR]):
        x = side
        for layer in ("hidden0", "hidden1"):
            x = x @ weights[f"{layer}/kernel"].astype(float) + weights[f"{layer}/bias"].astype(float)
            x = np.where(x > 0, x, 0.2 * x)
        expected += (x @ weights["output/kernel"].astype(float) + weights["output/bias"].astype(float)) / 2
    told = read(units.astype(np.float32))
    np.testing.assert_allclose(told.expression_logits, expected[:, :8], atol=2e-5)
    np.testing.assert_allclose(told.arousal, expected[:, 9], atol=2e-5)


@pytest.mark.thorough
def test_true_codes_of_other_faces_are_told():
    held = others()
    told = read(held["codes"])
    measures = valence_arousal_measures(told.valence, told.arousal, held["valence"], held["arousal"])
    assert measures["v_ccc"] >= 0.95 and measures["a_ccc"] >= 0.95
    assert np.mean(np.asarray(told.expression_logits).argmax(-1) == held["expression"]) >= 0.95


@pytest.mark.thorough
def test_codes_changed_as_in_training_are_told():
    held = others()
    changed = as_fitted(jax.random.key(0), held["codes"], Misfit())
    told = read(changed)
    measures = valence_arousal_measures(told.valence, told.arousal, held["valence"], held["arousal"])
    assert measures["v_ccc"] >= 0.85 and measures["a_ccc"] >= 0.8
    assert np.mean(np.asarray(told.expression_logits).argmax(-1) == held["expression"]) >= 0.8
    lost = np.mean(np.asarray(changed)[np.asarray(held["codes"]) > 0.3] < 0.05)
    assert lost == pytest.approx(Misfit().lost * (1 - Misfit().stray), abs=0.03)


@pytest.mark.thorough
def test_a_law_tells_as_its_teller_did():
    """Who takes half of one unit for another and adds noise of his own, in the shares of the faces that are asked."""
    random = np.random.default_rng(1)
    shown = random.uniform(0.2, 0.6, (3000, 52))
    told = 0.5 * shown + 0.3 * np.roll(shown, 7, 1) + random.choice([0.0, 0.04], shown.shape)
    law = law_of(shown, told, np.arange(52))
    codes = jnp.asarray(random.uniform(0.2, 0.6, (4000, 52)), jnp.float32)
    again = np.asarray(as_told(jax.random.key(0), codes, Misfit(1.0, 1.0, 0.0, 0.0), (law,), (0.25,)))
    changed = np.abs(again - codes).max(-1) > 1e-6
    assert changed.mean() == pytest.approx(0.25, abs=0.03)
    expected = 0.5 * codes + 0.3 * np.roll(codes, 7, 1)
    error = again[changed] - expected[changed]
    assert error.mean() == pytest.approx(0.02, abs=1e-3) and error.std() == pytest.approx(0.02, rel=0.1)


def test_files_that_hold_no_fits_are_named(tmp_path):
    path, told = tmp_path / "fits.npz", np.zeros((401, 52))
    whole = {name: told for name in ("true", "fitted", "read")} | {
        "label": np.zeros(401), "affect": np.zeros((401, 2)), "photo": np.zeros((401, 8)), "tried": np.array(401),
    }  # fmt: skip
    np.savez(path, **whole)
    assert set(read_fits(path)) == set(whole) - {"tried"}
    complete = path.read_bytes()
    changes = ({"read": told[:, :50]}, {"read": np.full((401, 52), np.nan)}, {"fitted": told[:300]},
               {name: array[:400] for name, array in whole.items() if array.ndim})  # fmt: skip
    for content in (None, b"", b"no zip", complete[:-200], {"true": told}, *(whole | change for change in changes)):
        path.unlink(missing_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            np.savez(path, **content)
        with pytest.raises(InputError, match=r"fits\.npz"):
            laws_of_file(path)


@pytest.mark.parametrize(
    ("units", "label", "signs"),
    [
        ({}, "neutral", (0, 0)),
        ({"mouthSmile": 0.7, "cheekSquint": 0.5}, "happy", (1, 1)),
        ({"browInnerUp": 0.7, "browOuterUp": 0.7, "eyeWide": 0.6, "jawOpen": 0.5}, "surprise", (1, 1)),
        ({"browInnerUp": 0.7, "mouthFrown": 0.7, "browDown": 0.2}, "sad", (-1, -1)),
        ({"browDown": 0.8, "eyeSquint": 0.5, "mouthPress": 0.6}, "anger", (-1, 1)),
        ({"noseSneer": 0.8, "mouthUpperUp": 0.6, "mouthShrugLower": 0.3}, "disgust", (-1, 1)),
    ],
)
def test_prototypes_are_what_they_are_called(units, label, signs):
    """By EMFACS (Friesen and Ekman 1983); a name without its side means both."""
    face = np.zeros(52, np.float32)
    for name, value in units.items():
        for side in [name] if name in ARKIT_UNITS else [f"{name}Left", f"{name}Right"]:
            face[ARKIT_UNITS.index(side)] = value
    told = read(face)
    assert AFFECTNET_CLASSES[int(np.argmax(told.expression_logits))] == label
    for value, sign in zip((told.valence, told.arousal), signs, strict=True):
        assert sign * value > 0.1 if sign else abs(value) < 0.1


@settings(max_examples=30, deadline=None)
@given(faces)
def test_a_face_and_its_mirror_image_feel_the_same(units):
    first, second = read(units), read(units[MIRROR])
    np.testing.assert_allclose(first.valence, second.valence, atol=1e-5)
    np.testing.assert_allclose(first.expression_logits, second.expression_logits, atol=1e-5)


def test_other_heads_order_and_lack_and_gradients():
    rng = np.random.default_rng(1)
    units = rng.uniform(0, 1, 52).astype(np.float32)
    order = rng.permutation(52)
    names = tuple(ARKIT_UNITS[index] for index in order)
    told = read_units(load_units_network(), jnp.asarray(units[order]), names)
    np.testing.assert_allclose(told.valence, read(units).valence, atol=1e-5)
    known = [index for index, name in enumerate(ARKIT_UNITS) if not name.startswith("tongue")]
    fewer = read_units(load_units_network(), jnp.asarray(units[known]), tuple(ARKIT_UNITS[index] for index in known))
    still = read(np.where(np.isin(np.arange(52), known), units, 0)).valence
    np.testing.assert_allclose(fewer.valence, still, atol=1e-5)
    assert knows_units(names) and not knows_units(()) and not knows_units(("expression0",))
    gradient = jax.grad(lambda w: read(w).valence)(jnp.full(52, 0.2))
    assert np.isfinite(gradient).all() and gradient[ARKIT_UNITS.index("mouthSmileLeft")] > 0
