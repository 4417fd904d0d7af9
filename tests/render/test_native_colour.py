"""Attributes and textures by kernels against plain JAX: the same colours and gradients, for any numbers."""

import functools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoca_jax.render import Fragments, interpolate, sample_image, spherical_harmonics, vertex_normals
from emoca_jax.render.backends.native import library

MISSING = library.why_not("colour")
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "-")
SIZE, ROWS, FACES = (9, 70), 40, 60
BATCHES = (((), (), 1), ((2,), (), 3), ((2,), (2,), 5), ((1,), (2,), 2))
"""Batch dimensions of fragments and of attributes, and channels: each compiles."""
TEXTURES = (
    ((1, 1, 1), "edge", True), ((1, 1, 1), "zero", False), ((37, 300, 3), "edge", False), ((37, 300, 3), "zero", True),
)  # fmt: skip
"""Sizes, what is outside and whether corners are aligned: each compiles."""
seeds = st.integers(0, 10**6)


def alike(ours, theirs, tolerance):
    """Arrays that differ by this share of the largest number, and have no number in the same places."""
    for got, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        scale = np.nanmax(np.abs(expected), initial=1.0)
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


@functools.lru_cache
def mixed(backend: str):
    @jax.jit
    def both(index, weights, attributes, faces, pull):
        def loss(weights, attributes):
            fragments = Fragments(index, weights, jnp.zeros(index.shape))
            values = interpolate(fragments, attributes, faces, backend=backend)
            return jnp.sum(values * pull), values

        return jax.grad(loss, (0, 1), has_aux=True)(weights, attributes)

    return both


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seeds, st.sampled_from(BATCHES), st.booleans())
def test_both_back_ends_mix_alike(seed, batch, broken):
    rng = np.random.default_rng(seed)
    lead, of_attributes, channels = batch
    beyond = 4 if broken else 0
    index = rng.integers(-1, FACES + beyond, (*lead, *SIZE)).astype(np.int32)
    faces = rng.integers(-beyond * ROWS // 2, ROWS + beyond, (FACES, 3)).astype(np.int32)
    weights = rng.normal(size=(*lead, *SIZE, 3)).astype(np.float32)
    attributes = rng.normal(size=(*of_attributes, ROWS, channels)).astype(np.float32)
    whole = np.broadcast_shapes(lead, of_attributes)
    pull = rng.normal(size=(*whole, *SIZE, channels)).astype(np.float32)
    (ours, native), (theirs, plain) = (
        mixed(name)(index, weights, attributes, faces, pull) for name in ("native", "jax")
    )
    alike(native, plain, 1e-6)
    alike(ours, theirs, 1e-5)


@functools.lru_cache
def looked_up(backend: str, outside: str, aligned: bool):
    @jax.jit
    def both(texture, points, pull):
        def loss(texture, points):
            colours = sample_image(texture, points, outside=outside, align_corners=aligned, backend=backend)
            return jnp.sum(colours * pull), colours

        return jax.grad(loss, (0, 1), has_aux=True)(texture, points)

    return both


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seeds, st.sampled_from(TEXTURES), st.booleans())
def test_both_back_ends_look_up_alike(seed, kind, extreme):
    rng = np.random.default_rng(seed)
    texture, outside, aligned = kind
    (height, width, channels), lead, many = texture, (2,), (5, 1000)
    texels = rng.uniform(size=(*lead, *texture)).astype(np.float32)
    points = rng.uniform(-1.3, 1.3, (*lead, *many, 2)).astype(np.float32)
    pull = rng.normal(size=(*lead, *many, channels)).astype(np.float32)
    if extreme:
        # Corners, the very border of what is cut off, far away, and no place at all.
        place = np.moveaxis(points, -1, 0).reshape(2, -1)
        place[:, :4] = [[-1, 1, -1 - 1 / width, 1 + 1 / width], [-1, 1, 1 + 1 / height, -1 - 1 / height]]
        place[:, 4:8] = [[1e30, -np.inf, np.inf, np.nan], [-1e30, np.inf, 0, 0]]
        points = np.ascontiguousarray(np.moveaxis(place.reshape(2, *points.shape[:-1]), 0, -1))
    # Points that get nothing are passed over; only plain JAX has those that are no place give a NaN all the same.
    pull[np.isfinite(points).all(-1) & (rng.uniform(size=(*lead, *many)) < 0.2)] = 0
    (ours, native), (theirs, plain) = (
        looked_up(name, outside, aligned)(texels, points, pull) for name in ("native", "jax")
    )
    alike(native, plain, 1e-6)
    alike(ours, theirs, 1e-4)


@functools.lru_cache
def shaded(backend: str):
    @jax.jit
    def both(normals, light, pull):
        def loss(normals, light):
            shading = spherical_harmonics(normals, light, backend=backend)
            return jnp.sum(shading * pull), shading

        return jax.grad(loss, (0, 1), has_aux=True)(normals, light)

    return both


@pytest.mark.parametrize("lead, points", [((), (1,)), ((2,), (9, 7)), ((2, 4), (1031,)), ((1,), (130, 130))])
def test_both_back_ends_shade_alike(lead, points):
    """Of fewer points than are done at once, of some more, of many images and of many pieces."""
    rng = np.random.default_rng(len(lead))
    normals, pull = (rng.normal(size=(*lead, *points, 3)).astype(np.float32) for _ in range(2))
    light = rng.normal(size=(*lead, 9, 3)).astype(np.float32)
    (ours, native), (theirs, plain) = (shaded(name)(normals, light, pull) for name in ("native", "jax"))
    alike(native, plain, 1e-6)
    alike(ours, theirs, 1e-5)


@pytest.mark.parametrize("official", [False, True])
def test_both_back_ends_find_the_same_normals(official):
    rng = np.random.default_rng(0)
    # The last rows belong to no face, some faces list a corner twice.
    vertices = jnp.array(rng.normal(size=(2, 3, ROWS + 3, 3)), jnp.float32)
    faces, pull = jnp.array(rng.integers(0, ROWS, (FACES, 3)), jnp.int8), rng.normal(size=vertices.shape)

    def both(backend):
        def loss(vertices):
            normals = vertex_normals(vertices, faces, official=official, backend=backend)
            return jnp.sum(normals * jnp.array(pull, jnp.float32)), normals

        return jax.jit(jax.grad(loss, has_aux=True))(vertices)

    (ours, native), (theirs, plain) = both("native"), both("jax")
    alike(native, plain, 1e-6)
    alike(ours, theirs, 1e-5)
    assert not np.array(native)[..., ROWS:, :].any()


@pytest.mark.slow  # compiles every mapping
def test_every_argument_maps():
    """Any argument mapped, or several, or in turn: nothing but what one call after the other gives."""
    rng = np.random.default_rng(0)
    texels = jnp.array(rng.uniform(size=(3, 20, 30, 3)), jnp.float32)
    points = jnp.array(rng.uniform(-1, 1, (3, 2, 11, 2)), jnp.float32)
    index = jnp.array(rng.integers(-1, FACES, (3, 2, 5, 7)), jnp.int32)
    weights = jnp.array(rng.normal(size=(3, 2, 5, 7, 3)), jnp.float32)
    attributes = jnp.array(rng.normal(size=(3, 2, ROWS, 3)), jnp.float32)
    faces = jnp.array(rng.integers(0, ROWS, (3, FACES, 3)), jnp.int32)

    def look(texels, points):
        return jax.value_and_grad(lambda *own: jnp.sum(sample_image(*own, backend="native") ** 2), (0, 1))(
            texels, points
        )

    def mix(index, weights, attributes, faces):
        def loss(weights, attributes):
            fragments = Fragments(index, weights, jnp.zeros(index.shape))
            return jnp.sum(interpolate(fragments, attributes, faces, backend="native") ** 2)

        return jax.value_and_grad(loss, (0, 1))(weights, attributes)

    def shade(normals, light):
        return jax.value_and_grad(lambda *own: jnp.sum(spherical_harmonics(*own, backend="native") ** 2), (0, 1))(
            normals, light
        )

    def bend(vertices, faces):
        return jax.value_and_grad(
            lambda own: jnp.sum(vertex_normals(own, faces, backend="native")[..., 0] * own[..., 1])
        )(vertices)  # fmt: skip

    normals, light = (jnp.array(rng.normal(size=shape), jnp.float32) for shape in ((3, 2, 11, 3), (3, 2, 9, 3)))
    for function, arrays in (
        (look, (texels, points)), (mix, (index, weights, attributes, faces)), (shade, (normals, light)),
        (bend, (attributes, faces)),
    ):  # fmt: skip
        for mapped in range(1, 2 ** len(arrays)):
            axes = tuple(0 if mapped >> i & 1 else None for i in range(len(arrays)))

            def turn(number, axes=axes, arrays=arrays):
                return tuple(array[0 if axis is None else number] for axis, array in zip(axes, arrays, strict=True))

            given_ = tuple(array[0] if axis is None else array for axis, array in zip(axes, arrays, strict=True))
            got = jax.vmap(function, axes)(*given_)
            expected = jax.tree.map(lambda *x: jnp.stack(x), *[function(*turn(number)) for number in range(3)])
            alike(got, expected, 1e-5)


def test_other_floats_are_in_plain_jax():
    texels, points = jnp.ones((4, 4, 3), jnp.bfloat16), jnp.zeros((5, 2), jnp.bfloat16)
    assert sample_image(texels, points, backend="native").dtype == jnp.bfloat16


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_short_face_numbers_are_read_as_numbers(kind):
    """Kernels take four bytes a number."""
    rng = np.random.default_rng(2)
    index = jnp.array(rng.integers(-1, FACES, SIZE), jnp.int32)
    weights, attributes = rng.normal(size=(*SIZE, 3)), rng.normal(size=(ROWS, 3))
    faces, pull = rng.integers(0, ROWS, (FACES, 3)), rng.normal(size=(*SIZE, 3))
    arrays = [jnp.array(array, jnp.float32) for array in (weights, attributes, pull)]
    (ours, native), (theirs, plain) = (
        mixed("native")(number, *arrays[:2], jnp.array(faces, jnp.int32), arrays[2])
        for number in (index.astype(kind), index)
    )
    alike((native, ours), (plain, theirs), 1e-6)


def test_many_threads_at_once():
    """More calls at once than there are threads, with gradients: all end, and all to the same bits."""
    rng = np.random.default_rng(1)
    texels = jnp.array(rng.uniform(size=(200, 100, 3)), jnp.float32)
    points = jnp.array(rng.uniform(-1, 1, (40_000, 2)), jnp.float32)
    index = jnp.array(rng.integers(-1, FACES, (200, 200)), jnp.int32)
    weights = jnp.array(rng.normal(size=(200, 200, 3)), jnp.float32)
    attributes = jnp.array(rng.normal(size=(ROWS, 2)), jnp.float32)
    faces = jnp.array(rng.integers(0, ROWS, (FACES, 3)), jnp.int32)

    @jax.jit
    def work(texels, points, attributes):
        def loss(texels, points, attributes):
            fragments = Fragments(index, weights, jnp.zeros(index.shape))
            moved = points + 0.01 * interpolate(fragments, attributes, faces, backend="native").reshape(-1, 2)
            return jnp.sum(sample_image(texels, moved, backend="native") ** 2)

        return jax.value_and_grad(loss, (0, 1, 2))(texels, points, attributes)

    want = jax.tree.map(np.asarray, work(texels, points, attributes))
    wrong, done = [], []

    def hammer():
        for _ in range(20):
            got = work(texels, points, attributes)
            wrong.extend(a for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True) if (a != b).any())
        done.append(True)

    threads = [threading.Thread(target=hammer, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(done) == len(threads) and not wrong
