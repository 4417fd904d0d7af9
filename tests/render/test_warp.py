"""The kernels for GPUs on warp's CPU device against plain JAX, and what can be known of them for a GPU without one."""

import functools
import threading
from importlib.metadata import PackageNotFoundError

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoca_jax.errors import InputError
from emoca_jax.render import rasterize, soft_silhouette
from emoca_jax.render.backends import choice
from emoca_jax.render.backends.warp_kernels import presence
from emoca_jax.render.backends.warp_kernels.shapes import GROUP, MOST_FACES
from emoca_jax.running_on import as_if_on
from tests.render.conftest import NO_WARP
from tests.render.meshes import tangle
from tests.render.test_native import OPTIONS, SIZE, drawn
from tests.render.test_native_soft import softened

here = pytest.mark.skipif(bool(NO_WARP), reason=NO_WARP or "-")


# Not at random: of a thousand meshes one has a face of so little area that its derivative is mostly rounding.
@here
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(["plain", "slivers", "grid", "broken"]), st.integers(0, len(OPTIONS) - 1))
def test_warp_sees_what_plain_jax_sees(seed, kind, number):
    vertices, faces = tangle(seed, 2, kind)
    weights = np.random.default_rng(seed).normal(size=(2, *SIZE, 4)).astype(np.float32)
    (ours, warp), (theirs, plain) = (drawn(name, number)(vertices, faces, weights) for name in ("warp", "jax"))
    covered, other = np.array(plain.face_index) >= 0, np.array(warp.face_index != plain.face_index)
    # In perspective a face that is listed twice with its corners in another order ties to the last bit only.
    assert not other.any() or ("perspective" in OPTIONS[number] and other.mean() < 2e-2)
    np.testing.assert_array_equal(np.array(warp.face_index) >= 0, covered)
    scale = max(1.0, np.abs(np.array(plain.depth)[covered]).max(initial=0))
    np.testing.assert_allclose(np.array(warp.depth)[covered], np.array(plain.depth)[covered], atol=1e-6 * scale)
    assert np.isinf(np.array(warp.depth)[~covered]).all() and not np.array(warp.barycentric)[~covered].any()
    np.testing.assert_allclose(np.array(warp.barycentric)[~other], np.array(plain.barycentric)[~other], atol=1e-6)
    own = np.abs(theirs).max(initial=1.0)
    if kind in ("plain", "grid") and not other.any() and own < 1e4:
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * own)


@here
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(0, 10**6), st.sampled_from(["plain", "slivers", "grid", "broken"]), st.sampled_from([None, 5]),
    st.booleans(),
)  # fmt: skip
def test_warp_blurs_as_plain_jax_blurs(seed, kind, layers, clip):
    vertices, faces = tangle(seed, 2, kind)
    faces[thin(vertices, faces)] = 0
    weights = np.random.default_rng(seed).normal(size=(2, *SIZE)).astype(np.float32)
    (ours, warp), (theirs, plain) = (softened(name, layers)(vertices, faces, weights, clip) for name in ("warp", "jax"))
    far = np.abs(np.array(warp - plain)) > 1e-5
    # A face just within the blur here and just beyond it there is a rounding; it weighs 1e-4 there.
    assert far.sum() <= 2 and np.abs(np.array(warp - plain))[far].max(initial=0) < 2e-4
    assert not np.signbit(warp).any()
    if not far.any() and kind != "slivers":
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * max(1.0, np.abs(theirs).max()))


@here
@pytest.mark.parametrize("layers", [1, 7, MOST_FACES])
def test_the_nearest_of_very_many_faces_count(layers):
    """More faces at every pixel than a heap keeps, in an order that is not theirs, and boxes in boxes in boxes."""
    rng = np.random.default_rng(layers)
    count = 3 * GROUP**2 // 2
    centre = rng.uniform(-1, 1, (1, count, 1, 3)) * [1, 1, 0]
    vertices = (
        centre + rng.uniform(-0.3, 0.3, (1, count, 3, 3)) * [1, 1, 0] + rng.uniform(1, 2, (1, count, 1, 1)) * [0, 0, 1]
    )
    vertices, faces = vertices.reshape(1, -1, 3).astype(np.float32), np.arange(3 * count).reshape(-1, 3)
    faces = faces[~thin(vertices, faces)].astype(np.int32)
    weights = rng.normal(size=(1, 8, 9)).astype(np.float32)

    def draw(backend):
        def loss(vertices):
            image = soft_silhouette(vertices, faces, (8, 9), sigma=0.05, faces_per_pixel=layers, backend=backend)
            return jnp.sum(image * weights), image

        return jax.grad(loss, has_aux=True)(jnp.array(vertices))

    (ours, warp), (theirs, plain) = draw("warp"), draw("jax")
    np.testing.assert_allclose(warp, plain, atol=1e-5)
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(jnp.abs(theirs).max()))


def thin(vertices, faces):
    """Faces with corners in a line: whether their area is more than 1e-8 is a compiler's rounding."""
    corners = vertices[:, faces, :2].astype(np.float64)
    with np.errstate(invalid="ignore"):
        (ax, ay), (bx, by) = np.moveaxis(corners[:, :, 1:] - corners[:, :, :1], (2, 3), (0, 1))
        return (np.abs(ax * by - ay * bx) < 1e-6).any(0)


@here
def test_maps_of_blurs():
    vertices, faces = tangle(0, 2, "plain")
    sigmas = jnp.array([1e-4, 1e-3, 1e-2])

    def draw(sigma):
        def total(vertices):
            return soft_silhouette(vertices, jnp.array(faces), SIZE, sigma=sigma, backend="warp").sum()

        return jax.value_and_grad(total)(jnp.array(vertices))

    each = jax.tree.map(lambda *parts: jnp.stack(parts), *[draw(sigma) for sigma in sigmas])
    for got, expected in zip(jax.vmap(draw)(sigmas), each, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5 * float(jnp.abs(expected).max()))


@here
def test_maps_in_maps_of_vertices_and_of_faces():
    """Each turn has its own, whatever is mapped: nothing but what one image at a time gives."""
    vertices = jnp.array(np.stack([tangle(seed, 3, "plain")[0] for seed in range(2)]))
    faces = jnp.array(np.stack([tangle(seed, 1, "plain")[1] for seed in range(3)]))

    def loss(vertices, faces):
        seen = rasterize(vertices, faces, SIZE, backend="warp")
        return jnp.sum(seen.barycentric[..., 1]), seen.face_index

    draw = jax.grad(loss, has_aux=True)
    each = jax.tree.map(
        lambda *pairs: jnp.stack(pairs).reshape(2, 3, *pairs[0].shape),
        *[draw(vertices[i, j], faces[j]) for i in range(2) for j in range(3)],
    )
    mapped = jax.jit(jax.vmap(jax.vmap(draw), in_axes=(0, None)))(vertices, faces)
    turned = jax.vmap(jax.vmap(draw, in_axes=(0, None)), in_axes=(1, 0), out_axes=1)(vertices, faces)
    for got in (mapped, turned):
        np.testing.assert_array_equal(got[1], each[1])
        np.testing.assert_allclose(got[0], each[0], atol=1e-5 * float(jnp.abs(each[0]).max()))
    shared = jax.vmap(lambda faces: draw(vertices[:, 0], faces)[1])(faces)
    np.testing.assert_array_equal(shared[0], each[1][:, 0])


@here
def test_several_threads_at_once():
    vertices, faces = tangle(3, 4, "plain")
    work = jax.jit(lambda vertices: rasterize(vertices, faces, (96, 64), backend="warp"))
    want, right = np.asarray(work(vertices).depth), []

    def hammer():
        right.append(all(np.array_equal(work(vertices).depth, want) for _ in range(20)))

    threads = [threading.Thread(target=hammer, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert right == [True] * len(threads)


@here
@given(st.integers(1, 2**31), st.integers(1, 2**31))
def test_no_ticket_overflows(faces, pixels):
    """Both numbers in the 64 bits have room for a mesh all of whose faces fill the image."""
    from emoca_jax.render.backends.warp_kernels.sharing import pieces_of

    piece, bits = pieces_of(faces, pixels)
    assert faces < 2 ** (64 - bits) and faces * -(-pixels // piece) < 2**bits


@here
def test_a_gpu_gets_the_call_and_a_tpu_plain_jax():
    vertices, faces = tangle(0, 1, "plain")

    def loss(vertices):
        return jnp.sum(rasterize(vertices, jnp.array(faces), SIZE, backend="warp").barycentric[..., 0])

    for platform, called in (("cuda", True), ("tpu", False)):
        code = jax.jit(jax.grad(loss)).trace(vertices).lower(lowering_platforms=(platform,)).as_text()
        assert ("@surface_0" in code, "@surface_derivative_0" in code) == (called, called), platform


@here
def test_it_compiles_for_an_h100_with_every_operation_rounded(tmp_path):
    """By the compiler in warp's wheel; nothing is approximated, flushed to zero or fused but where it says so."""
    wp = pytest.importorskip("warp")
    from emoca_jax.render.backends.warp_kernels import blend, blend_gradient, hard, outline, soft

    for kernels, needed, inexact in (
        (hard, "atom.global.min.u64", set()),
        (outline, "atom.global.max.u64", set()),
        # What CUDA's exp is made of, which is right to two units in the last place.
        (soft, "atom.global.add.f32", {"ex2.approx.ftz.f32"}),
        (blend, "ld.global.u64", {"ex2.approx.ftz.f32"}),
        (blend_gradient, "atom.global.add.f32", {"ex2.approx.ftz.f32"}),
    ):
        folder = tmp_path / kernels.__name__
        wp.compile_aot_module(kernels.__name__, arch=90, module_dir=folder, use_ptx=True)
        (code,) = (path.read_bytes().decode() for path in folder.glob("*.ptx"))
        assert needed in code and "div.rn.f32" in code
        assert {word for word in code.split() if ".approx" in word or ".full" in word or ".ftz" in word} == inexact


def test_without_warp_it_says_what_to_install(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    vertices, faces = tangle(0, 1, "plain")
    monkeypatch.setattr(presence, "version", missing)
    presence.why_not.cache_clear()
    try:
        with pytest.raises(InputError, match=r"warp is missing; install it with: pip install 'emoca-jax\[gpu\]'"):
            rasterize(vertices, faces, (5, 5), backend="warp")
    finally:
        presence.why_not.cache_clear()


@here
def test_it_is_for_float32_and_gpus():
    draw = functools.partial(choice.draws_by_warp, "warp")
    with jax.enable_x64(True), pytest.raises(InputError, match="jax_enable_x64"):
        draw()
    with as_if_on("tpu"), pytest.raises(InputError, match="NVIDIA"):
        draw()


@here
@pytest.mark.slow
@pytest.mark.parametrize("case", ["4096 pixels", "1,000,000 faces"])
def test_large(case):
    rng = np.random.default_rng(0)
    size, count, reach = ((4096, 4096), 20_000, 0.05) if case == "4096 pixels" else ((512, 512), 1_000_000, 0.01)
    centre = rng.uniform(-1.1, 1.1, (count, 1, 3))
    vertices = (centre + rng.uniform(-reach, reach, (count, 3, 3))).reshape(-1, 3).astype(np.float32)
    faces = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    warp, plain = (rasterize(vertices, faces, size, backend=name) for name in ("warp", "jax"))
    np.testing.assert_array_equal(warp.face_index, plain.face_index)
    np.testing.assert_allclose(warp.depth, plain.depth, atol=1e-6)
    assert (warp.face_index >= 0).mean() > 0.5
