"""Anti-aliased silhouettes by the kernels for GPUs, on warp's CPU device, against plain JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoca_jax.render import antialias, mesh_edges, rasterize
from tests.render.conftest import NO_WARP
from tests.render.meshes import VERTICES, tangle
from tests.render.test_native_outline import SIZE, inputs, smoothed

here = pytest.mark.skipif(bool(NO_WARP), reason=NO_WARP or "-")


@here
@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(["plain", "slivers", "grid", "broken"]))
def test_warp_smooths_as_plain_jax_smooths(seed, kind):
    arrays = inputs(seed, 2, kind)
    (ours, warp), (theirs, plain) = (smoothed(name)(*arrays) for name in ("warp", "jax"))
    assert np.abs(plain - arrays[2]).max() > 0.05
    np.testing.assert_allclose(warp, plain, atol=1e-5)
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))


@here
@pytest.mark.thorough
def test_colours_of_any_number_and_maps_of_images_vertices_and_edges():
    """Each turn has its own: nothing but what one call after the other gives."""
    turns = [inputs(seed, 2, "plain", 5) for seed in range(2)]
    vertices, image = (jnp.array(np.stack([turn[i] for turn in turns])) for i in (0, 2))
    faces = jnp.array(np.stack([turn[1] for turn in turns]))
    edges = jax.vmap(mesh_edges)(faces)
    seen = jax.vmap(lambda vertices, faces: rasterize(vertices, faces, SIZE, backend="jax"))(vertices, faces)

    def work(backend, image, vertices, seen, faces, edges):
        def loss(image, vertices):
            smooth = antialias(image, seen, vertices, faces, mesh_edges=edges, backend=backend)
            return jnp.sum(smooth**2), smooth

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(image, vertices)

    arrays = image, vertices, seen, faces, edges

    def one(number, mapped):
        own = (jax.tree.map(lambda a, m=m: a[number * m], x) for x, m in zip(arrays, mapped, strict=True))
        return work("jax", *own)

    for mapped in ((1, 1, 1, 1, 1), (1, 0, 0, 0, 0)):
        axes = tuple(0 if each else None for each in mapped)
        chosen = [x if each else jax.tree.map(lambda a: a[0], x) for x, each in zip(arrays, mapped, strict=True)]
        got = jax.jit(jax.vmap(lambda *own: work("warp", *own), axes))(*chosen)
        expected = jax.tree.map(lambda *each: jnp.stack(each), *[one(number, mapped) for number in range(2)])
        for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))


@here
def test_edges_of_vertices_that_do_not_exist_are_none():
    vertices, faces, image, _ = inputs(1, 1, "plain")
    seen, edges = rasterize(vertices, faces, SIZE, backend="jax"), mesh_edges(jnp.array(faces))
    fewer = edges._replace(across=edges.across.at[:3].set(-2))
    for number in (-(2**31), VERTICES, 2**31 - 1):
        start, end, apex = (column.at[i].set(number) for i, column in enumerate(edges[:3]))
        got, expected = (
            antialias(image, seen, vertices, faces, mesh_edges=own, backend="warp")
            for own in (edges._replace(start=start, end=end, apex=apex), fewer)
        )
        np.testing.assert_array_equal(got, expected)


@here
def test_a_gpu_gets_the_call_and_a_tpu_plain_jax():
    vertices, faces = tangle(0, 1, "plain")

    def loss(vertices):
        seen = rasterize(vertices, jnp.array(faces), SIZE, backend="jax")
        image = seen.barycentric
        return jnp.sum(antialias(image, seen, vertices, jnp.array(faces), backend="warp") ** 2)

    calls = ("@smooth_0", "@smooth_to_image_0", "@smooth_to_vertices_0")
    for platform, called in (("cuda", True), ("tpu", False)):
        code = jax.jit(jax.grad(loss)).trace(vertices).lower(lowering_platforms=(platform,)).as_text()
        assert [call in code for call in calls] == [called] * 3, platform
