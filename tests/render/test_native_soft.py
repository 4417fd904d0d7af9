"""Soft outlines by kernels against plain JAX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoca_jax.errors import InputError
from emoca_jax.render import soft_silhouette
from emoca_jax.render.backends.native import library
from tests.render.meshes import tangle

MISSING = library.why_not("soft")
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "-")
SIZE = (20, 33)


@functools.lru_cache
def softened(backend: str, layers: int | None):
    """A soft silhouette and the gradient of its weighed sum."""

    @jax.jit
    def both(vertices, faces, weights, clip):
        def loss(vertices):
            alpha = soft_silhouette(
                vertices, faces, SIZE, sigma=3e-3, faces_per_pixel=layers, clip=clip, backend=backend
            )
            return jnp.sum(alpha * weights), alpha

        return jax.grad(loss, has_aux=True)(vertices)

    return both


@pytest.mark.thorough
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(0, 10**6), st.sampled_from(["plain", "slivers", "grid", "broken"]), st.sampled_from([None, 5]),
    st.booleans(),
)  # fmt: skip
def test_both_back_ends_blur_alike(seed, kind, layers, clip):
    vertices, faces = tangle(seed, 2, kind)
    # Corners in a line: whether their area is more than 1e-8 is a compiler's rounding.
    corners = vertices[:, faces, :2].astype(np.float64)
    with np.errstate(invalid="ignore"):
        (ax, ay), (bx, by) = np.moveaxis(corners[:, :, 1:] - corners[:, :, :1], (2, 3), (0, 1))
        faces[(np.abs(ax * by - ay * bx) < 1e-6).any(0)] = 0
    weights = np.random.default_rng(seed).normal(size=(2, *SIZE)).astype(np.float32)
    (ours, native), (theirs, plain) = (
        softened(name, layers)(vertices, faces, weights, clip) for name in ("native", "jax")
    )  # fmt: skip
    far = np.abs(np.array(native - plain)) > 1e-5
    # A face just within the blur here and just beyond it there is a rounding; it weighs 1e-4 there.
    assert far.sum() <= 2 and np.abs(np.array(native - plain))[far].max(initial=0) < 2e-4
    assert not np.signbit(native).any()
    if not far.any() and kind != "slivers":
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * max(1.0, np.abs(theirs).max()))


@pytest.mark.thorough
@pytest.mark.parametrize(
    "options",
    [
        {"sigma": np.nan},
        {"blur_radius": -1.0},
        *(pytest.param({"sigma": value}, marks=pytest.mark.slow) for value in (-1e-3, 0.0)),
    ],
)
def test_softness_that_makes_no_sense_is_none_everywhere(options):
    vertices, faces = tangle(1, 1, "plain")
    for backend in ("native", "jax"):
        draw = functools.partial(soft_silhouette, vertices, faces, SIZE, backend=backend)
        assert np.isnan(jax.jit(lambda options, draw=draw: draw(**options))(options)).all()
        with pytest.raises(InputError, match=next(iter(options))):
            draw(**{name: jnp.float32(value) for name, value in options.items()})


@pytest.mark.parametrize("far", [1e18, 3e38])
def test_soft_faces_that_end_too_far_away_are_left_out(far):
    vertices, faces = tangle(1, 2, "plain")
    without = np.where((faces == 0).any(-1, keepdims=True), 0, faces)
    vertices[:, 0, 1] = far
    weights = np.ones((2, *SIZE), np.float32)
    for got, expected in zip(
        softened("native", None)(vertices, faces, weights, False),
        softened("jax", None)(vertices, without, weights, False), strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(got, expected, atol=1e-4 * max(1.0, np.abs(expected).max()))
