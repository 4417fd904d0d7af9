"""Anti-aliased silhouettes by kernels against plain JAX: the same image and gradients, whatever the mesh."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoca_jax.render import antialias, mesh_edges, rasterize
from emoca_jax.render.backends.native import library
from emoca_jax.render.backends.native.outline import ALONE, IGNORED
from emoca_jax.render.neighbours import OUTER, REPEATED
from tests.render.meshes import VERTICES, tangle

MISSING = library.why_not("outline")
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "-")
SIZE = (20, 33)


@functools.lru_cache
def smoothed(backend: str):
    """An image, smoothed, and the gradients of its weighed sum to image and vertices."""

    @jax.jit
    def both(vertices, faces, image, weights):
        fragments = jax.lax.stop_gradient(rasterize(vertices, faces, SIZE))

        def loss(image, vertices):
            found = antialias(image, fragments, vertices, faces, backend=backend)
            return jnp.sum(found * weights), found

        return jax.grad(loss, (0, 1), has_aux=True)(image, vertices)

    return both


def inputs(seed: int, images: int, kind: str, channels: int = 3):
    vertices, faces = tangle(seed, images, kind)
    rng = np.random.default_rng(seed)
    image, weights = (rng.uniform(-1, 1, (images, *SIZE, channels)).astype(np.float32) for _ in range(2))
    return vertices, faces, image, weights


@pytest.mark.thorough
@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(["plain", "slivers", "grid", "broken"]))
def test_both_back_ends_smooth_alike(seed, kind):
    arrays = inputs(seed, 2, kind)
    (ours, native), (theirs, plain) = (smoothed(name)(*arrays) for name in ("native", "jax"))
    assert np.abs(plain - arrays[2]).max() > 0.05
    np.testing.assert_allclose(native, plain, atol=1e-5)
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.slow  # compiles every mapping
def test_every_argument_maps():
    """Images, vertices and meshes of their own for each, in turn and together: what one call after the other gives."""
    images, vertices = [], []
    for seed in range(3):
        own, _, image, _ = inputs(seed, 2, "plain", 1)
        images.append(image)
        vertices.append(own)
    faces = jnp.array(np.stack([tangle(seed, 1, "plain")[1] for seed in range(3)]))
    arrays = jnp.array(np.stack(images)), jnp.array(np.stack(vertices)), faces

    @jax.jit
    def work(image, vertices, faces):
        def loss(image, vertices):
            fragments = rasterize(vertices, faces, SIZE)
            return jnp.sum(antialias(image, fragments, vertices, faces, backend="native") ** 2)

        return jax.value_and_grad(loss, (0, 1))(image, vertices)

    for mapped in (3, 4):
        axes = tuple(0 if mapped >> i & 1 else None for i in range(3))
        chosen = [array if axis == 0 else array[0] for array, axis in zip(arrays, axes, strict=True)]
        turns = [
            work(*(array[turn] if axis == 0 else array for array, axis in zip(chosen, axes, strict=True)))
            for turn in range(3)
        ]
        expected = jax.tree.map(lambda *each: jnp.stack(each), *turns)
        for got, want in zip(
            jax.tree.leaves(jax.vmap(work, axes)(*chosen)), jax.tree.leaves(expected), strict=True
        ):  # fmt: skip
            np.testing.assert_allclose(got, want, atol=1e-5 * float(jnp.abs(want).max()))


def test_edges_of_vertices_that_do_not_exist_are_none():
    assert (ALONE, IGNORED) == (OUTER, REPEATED)
    vertices, faces, image, _ = inputs(1, 1, "plain")
    fragments, edges = rasterize(vertices, faces, SIZE), mesh_edges(jnp.array(faces))
    fewer = edges._replace(across=edges.across.at[:3].set(IGNORED))
    for number in (-(2**31), -VERTICES - 1, VERTICES, 2**31 - 1):
        columns = [column.at[i].set(number) for i, column in enumerate(edges[:3])]
        got, expected = (
            antialias(image, fragments, vertices, faces, mesh_edges=own, backend="native")
            for own in (edges._replace(start=columns[0], end=columns[1], apex=columns[2]), fewer)
        )
        np.testing.assert_array_equal(got, expected)
