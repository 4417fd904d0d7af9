"""Lids from pixels: a drawn stranger closes both eyes, one eye, or none, and the whole way finds it."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emoca_jax as ej
from emoca_jax.fit.light import ambient_light

SIZE = 320
PEOPLE = (11, 12, 13)


@cache
def model():
    return ej.load_model("open")


@cache
def decode():
    return jax.jit(ej.decode, static_argnums=2)


def portrait(seed: int, **units: float) -> np.ndarray:
    """A person who was not measured for the landmarks' lag (another seed), drawn with these units."""
    head, random = model().head, np.random.default_rng(seed)
    assert head.albedo is not None
    expression = np.zeros(len(head.expression_names), np.float32)
    for name, value in units.items():
        expression[head.expression_names.index(name)] = value
    codes = ej.Codes(
        shape=jnp.asarray(0.7 * random.normal(size=head.shape_dirs.shape[-1]), jnp.float32),
        expression=jnp.asarray(expression),
        pose=jnp.array([[0.05, 0.15, 0.02], [0, 0, 0]]),
        jaw=jnp.zeros(3),
        eyes=jnp.zeros((2, 3)),
        camera=jnp.array([7.5, 0.0, 0.0]),
        light=0.62 * ambient_light(),
        albedo=jnp.asarray(0.5 * random.normal(size=head.albedo.basis.shape[-1]), jnp.float32),
    )
    drawn = decode()(head, codes, (SIZE, SIZE))
    alpha = np.asarray(drawn.alpha)[..., None]
    picture = np.clip(np.asarray(drawn.rendering) + 0.6 * (1 - alpha), 0, 1)
    return np.round(255 * picture).astype(np.uint8)


@cache
def units_of(seed: int, **units: float) -> dict[str, float]:
    (face,) = ej.reconstruct(model(), portrait(seed, **units))
    return dict(zip(face.head.expression_names, np.asarray(face.codes.expression).tolist(), strict=True))


@pytest.mark.parametrize(
    ("left", "right"), [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)], ids=["open", "closed", "left", "right"]
)
def test_lids_are_read_from_pixels(left: float, right: float):
    people = [units_of(seed, eyeBlinkLeft=left, eyeBlinkRight=right) for seed in PEOPLE]
    for side, closed in (("Left", left), ("Right", right)):
        found = [units[f"eyeBlink{side}"] for units in people]
        if closed:
            # Flat painted lids say less than real ones; without the measured lag these are .02 to .2.
            assert np.mean(found) >= 0.4 and min(found) >= 0.25, found
        else:
            assert max(found) <= 0.2, found


def test_pursed_lips_are_no_smile_and_no_frown():
    people = [units_of(seed, mouthPucker=1.0) for seed in PEOPLE]
    assert np.mean([units["mouthPucker"] for units in people]) >= 0.3
    assert max(units[name] for units in people for name in ("mouthSmileLeft", "mouthFrownLeft", "jawOpen")) < 0.15
