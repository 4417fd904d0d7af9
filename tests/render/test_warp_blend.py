"""Soft colours by the kernels for GPUs, on warp's CPU device, against plain JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoca_jax.render import soft_rasterize
from tests.render.conftest import NO_WARP
from tests.render.test_native_blend import OPTIONS, SIZE, blended, inputs

here = pytest.mark.skipif(bool(NO_WARP), reason=NO_WARP or "-")


@here
@settings(max_examples=12, deadline=None, derandomize=True)
@pytest.mark.parametrize("layers", [None, pytest.param(5, marks=pytest.mark.thorough)])
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["plain", "grid", "broken"]), clip=st.booleans())
def test_warp_blends_as_plain_jax_blends(layers, seed, kind, clip):
    arrays = inputs(seed, kind)
    (ours, warp), (theirs, plain) = (blended(name, layers)(*arrays, clip) for name in ("warp", "jax"))
    far = np.abs(np.array(warp - plain)) > 1e-5
    # As of kernels for CPUs: a face just within the blur here and just beyond it there.
    assert far.sum() <= 8 and np.abs(np.array(warp - plain))[far].max(initial=0) < 5e-4
    # Nor is plain JAX sure, the second time, which of few faces is the last, and which at the rim are within the blur.
    if layers is None and kind != "grid" and not far.any():
        for got, expected in zip(ours, theirs, strict=True):
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(got, expected, atol=(1e-4 if clip else 5e-3) * scale)


def shown(backend: str, size: tuple[int, int], **options):
    """An image, and the gradients of its mean square to vertices and attributes."""

    def both(vertices, faces, attributes):
        def loss(vertices, attributes):
            image = soft_rasterize(vertices, faces, attributes, size, backend=backend, **options)
            return jnp.mean(image**2), image

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(vertices, attributes)

    return jax.jit(both)


@here
def test_large_faces_are_shared_by_many_threads():
    """Each over more pixels than a thread does alone and than a piece has, one behind the other in part."""
    from emoca_jax.render.backends.warp_kernels.blend_gradient import OWN_PIXELS
    from emoca_jax.render.backends.warp_kernels.sharing import PIECE

    size, rng = (44, 63), np.random.default_rng(2)
    corners = np.array([[-0.9, -0.8], [0.9, -0.85], [0.1, 0.9]]) + rng.uniform(-0.3, 0.3, (2, 6, 3, 2))
    depths = np.linspace(1, 2, 6)[:, None, None] + rng.uniform(-0.2, 0.2, (2, 6, 3, 1))
    vertices = np.concatenate([corners, depths], axis=-1).reshape(2, 18, 3).astype(np.float32)
    reached = np.ptp(corners, axis=2).prod(-1) / 4 * size[0] * size[1]
    assert (reached > OWN_PIXELS).all() and (reached > PIECE).all()
    faces, attributes = np.arange(18, dtype=np.int32).reshape(6, 3), rng.uniform(size=(18, 2)).astype(np.float32)
    drawn = [shown(name, size, **OPTIONS)(vertices, faces, attributes) for name in ("warp", "jax")]
    for got, expected in zip(*map(jax.tree.leaves, drawn), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4 * float(jnp.abs(expected).max()))
    np.testing.assert_allclose(drawn[0][0][1], drawn[1][0][1], atol=1e-5)


@here
@pytest.mark.thorough
def test_maps_of_every_argument():
    """Each turn has its own: nothing but what one call after the other gives."""
    turns = [inputs(seed, "plain") for seed in range(2)]
    arrays = [jnp.array(np.stack([turn[i] for turn in turns])) for i in range(3)]
    for mapped in ((1, 1, 1), (0, 0, 1), (1, 0, 0)):
        axes = tuple(0 if each else None for each in mapped)
        chosen = [array if each else array[0] for array, each in zip(arrays, mapped, strict=True)]
        got = jax.vmap(shown("warp", SIZE, **OPTIONS, faces_per_pixel=4), axes)(*chosen)
        one = shown("warp", SIZE, **OPTIONS, faces_per_pixel=4)
        each = [one(*(array[turn * on] for array, on in zip(arrays, mapped, strict=True))) for turn in range(2)]
        for ours, theirs in zip(
            jax.tree.leaves(got), jax.tree.leaves(jax.tree.map(lambda *x: jnp.stack(x), *each)), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))


@here
def test_a_gpu_gets_the_calls_and_a_tpu_plain_jax():
    vertices, faces, attributes, _, _ = inputs(0, "plain")
    calls = ("@silhouette_0", "@blended_0", "@blended_derivative_0", "@silhouette_derivative_0")
    for platform, called in (("cuda", True), ("tpu", False)):
        traced = shown("warp", SIZE).trace(vertices, faces, attributes)
        code = traced.lower(lowering_platforms=(platform,)).as_text()
        assert [call in code for call in calls] == [called] * 4, platform
