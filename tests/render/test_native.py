"""Kernels against plain JAX: the same face everywhere, whoever calls and however often."""

import functools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, PartitionSpec

from emoca_jax.errors import InputError
from emoca_jax.render import rasterize, soft_silhouette
from emoca_jax.render.backends import choice
from emoca_jax.render.backends.native import library
from tests.render.conftest import MISSING
from tests.render.meshes import VERTICES, tangle

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "-")
SIZE = (20, 33)
NEAR = 0.3
SPLIT = PartitionSpec("batch")
OPTIONS = ({}, {"official": True, "cull": "back"}, {"perspective": True, "near": NEAR, "cull": "front"})


@functools.lru_cache
def drawn(backend: str, number: int):
    """Fragments, and the gradient of weighed barycentrics and depths."""

    @jax.jit
    def both(vertices, faces, weights):
        def loss(vertices):
            seen = rasterize(vertices, faces, SIZE, backend=backend, **OPTIONS[number])
            depth = jnp.where(seen.face_index >= 0, seen.depth, 0.0)
            return jnp.sum(seen.barycentric * weights[..., :3]) + jnp.sum(depth * weights[..., 3]), seen

        return jax.grad(loss, has_aux=True)(vertices)

    return both


# Not at random: of a thousand meshes one has a face of so little area that its derivative is mostly rounding.
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 10**6), st.sampled_from(["plain", "slivers", "grid", "huge", "broken"]),
    st.integers(0, len(OPTIONS) - 1),
)  # fmt: skip
def test_both_back_ends_see_the_same(seed, kind, number):
    if kind == "huge":
        # With coordinates of a hundred million images a compiler's whims decide which side a face shows.
        number = 0
    vertices, faces = tangle(seed, 2, kind)
    weights = np.random.default_rng(seed).normal(size=(2, *SIZE, 4)).astype(np.float32)
    (ours, native), (theirs, plain) = (drawn(name, number)(vertices, faces, weights) for name in ("native", "jax"))
    covered = np.array(plain.face_index) >= 0
    other = np.array(native.face_index != plain.face_index)
    # In perspective a face that is listed twice with its corners in another order ties to the last bit only; a hundred
    # million images away corners are rounded by whole pixels.
    assert not other.any() or (("perspective" in OPTIONS[number] or kind == "huge") and other.mean() < 2e-2)
    same = covered & (~other if kind == "huge" else True)
    scale = max(1.0, np.abs(np.array(plain.depth)[same]).max(initial=0))
    np.testing.assert_allclose(np.array(native.depth)[same], np.array(plain.depth)[same], atol=1e-6 * scale)
    if kind == "huge":
        return
    np.testing.assert_array_equal(np.array(native.face_index) >= 0, covered)
    assert np.isinf(np.array(native.depth)[~covered]).all() and not np.array(native.barycentric)[~covered].any()
    np.testing.assert_allclose(np.array(native.barycentric)[~other], np.array(plain.barycentric)[~other], atol=1e-6)
    if kind in ("plain", "grid") and not other.any():
        # On faces of almost no area the derivative is mostly rounding.
        own = np.abs(theirs).max(initial=1.0)
        if own < 1e4:
            np.testing.assert_allclose(ours, theirs, atol=1e-4 * own)


def test_weights_are_told_where_somebody_asks():
    """Barycentrics are most of the memory: programs that use the depth alone have no call for them."""
    vertices, faces = tangle(0, 1, "plain")
    for wanted in ("barycentric", "depth"):
        draw = jax.jit(lambda v, wanted=wanted: getattr(rasterize(v, faces, SIZE, backend="native"), wanted))
        code = str(draw.lower(vertices).compile().as_text())
        assert library.target("surface") + '"' in code
        assert (library.target("surface_weights") in code) == (wanted == "barycentric")


@pytest.mark.thorough
@pytest.mark.parametrize("number", [*(pytest.param(number, marks=pytest.mark.slow) for number in (0, 1)), 2])
@pytest.mark.parametrize("wanted", ["barycentric", "depth"])
def test_gradients_of_one_result_alone(number, wanted):
    vertices, faces = tangle(4, 2, "plain")
    weights = np.random.default_rng(0).normal(size=(2, *SIZE, 3)).astype(np.float32)

    def loss(vertices, backend):
        told = getattr(rasterize(vertices, faces, SIZE, backend=backend, **OPTIONS[number]), wanted)
        return jnp.sum(jnp.where(jnp.isfinite(told), told, 0) * (weights[..., 0] if told.ndim == 3 else weights))

    slopes = jax.jit(jax.grad(loss), static_argnums=1)
    ours, theirs = (slopes(vertices, backend) for backend in ("native", "jax"))
    assert np.abs(theirs).max() > 0
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(jnp.abs(theirs).max()))


@pytest.mark.thorough
def test_every_face_map_under_vmap_and_shards():
    """Own faces for each image, maps in maps, and shards: nothing but what one image at a time gives."""
    vertices = jnp.array(np.stack([tangle(seed, 3, "plain")[0] for seed in range(2)]))
    faces = jnp.array(np.stack([tangle(seed, 1, "plain")[1] for seed in range(3)]))
    draw = functools.partial(rasterize, size=SIZE, backend="native")
    each = jnp.stack([jnp.stack([draw(vertices[i, j], faces[j]).face_index for j in range(3)]) for i in range(2)])
    assert (each >= 0).any((-1, -2)).all()
    mapped = jax.vmap(jax.vmap(lambda v, f: draw(v, f).face_index), in_axes=(0, None))(vertices, faces)
    np.testing.assert_array_equal(mapped, each)
    over_faces = jax.vmap(lambda f: draw(vertices[0, 0], f).face_index)(faces)
    np.testing.assert_array_equal(over_faces[0], each[0, 0])
    assert draw(vertices[:0], faces[0]).face_index.shape == (0, 3, *SIZE)

    def loss(vertices):
        return jnp.sum(jnp.where(jnp.isfinite(draw(vertices, faces[0]).depth), draw(vertices, faces[0]).depth, 0))

    devices = jax.make_mesh((1,), ("batch",), axis_types=(AxisType.Auto,))
    parts = jax.shard_map(jax.grad(loss), mesh=devices, in_specs=SPLIT, out_specs=SPLIT, check_vma=False)
    np.testing.assert_array_equal(jax.jit(parts)(vertices), jax.grad(loss)(vertices))
    one_by_one = jnp.stack([jax.vmap(jax.grad(loss))(one) for one in vertices])
    np.testing.assert_allclose(jax.grad(loss)(vertices), one_by_one, atol=1e-5 * float(jnp.abs(one_by_one).max()))


@pytest.mark.thorough
def test_mapped_faces_and_blurs_of_a_batch():
    """What is shared by a batch and mapped over it: each turn has its own, with gradients."""
    vertices = jnp.array(tangle(0, 2, "plain")[0])
    faces = jnp.array(np.stack([tangle(seed, 1, "plain")[1] for seed in range(3)]))
    sigmas = jnp.array([1e-4, 1e-3, 1e-2])

    def hard(faces):
        seen = rasterize(vertices, faces, SIZE, backend="native")
        return seen.face_index, jax.grad(
            lambda v: rasterize(v, faces, SIZE, backend="native").barycentric[..., 0].sum()
        )(vertices)

    def soft(sigma):
        def total(v):
            return soft_silhouette(v, faces[0], SIZE, sigma=sigma, backend="native").sum()

        return jax.value_and_grad(total)(vertices)

    for function, mapped in ((hard, faces), (soft, sigmas)):
        for got, expected in zip(
            jax.tree.leaves(jax.vmap(function)(mapped)),
            jax.tree.leaves(jax.tree.map(lambda *x: jnp.stack(x), *[function(each) for each in mapped])),
            strict=True,
        ):
            np.testing.assert_allclose(got, expected, atol=1e-4 * max(1, float(jnp.abs(expected).max())))


@pytest.mark.parametrize("number", [-(2**31), -1000, -1, VERTICES, 10**6, 2**31 - 1])
def test_faces_of_vertices_that_do_not_exist_are_not_drawn(number):
    vertices, faces = tangle(1, 2, "plain")
    broken, without = faces.copy(), faces.copy()
    broken[0, 0], without[0] = number, 0

    def both(faces):
        def loss(v):
            seen = rasterize(v, faces, SIZE, backend="native")
            soft = soft_silhouette(v, faces, SIZE, sigma=1e-3, backend="native")
            return seen.barycentric[..., 0].sum() + soft.sum(), seen.face_index

        return jax.grad(loss, has_aux=True)(jnp.array(vertices))

    for got, expected in zip(both(broken), both(without), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_64_bits_are_drawn_in_plain_jax():
    vertices, faces = tangle(1, 1, "plain")
    with jax.enable_x64(True):
        assert not choice.draws_natively(None, "hard")
        with pytest.raises(InputError, match="jax_enable_x64"):
            rasterize(vertices, faces, SIZE, backend="native")


def test_many_threads_at_once():
    """More calls at once than XLA has threads, with gradients and under `vmap`: all end, and all alike."""
    vertices, faces = tangle(3, 12, "plain")
    size = (128, 96)

    @jax.jit
    def work(vertices, faces):
        def loss(vertices):
            seen = jax.vmap(lambda own: rasterize(own, faces, size, backend="native"))(vertices)
            return jnp.sum(jnp.where(seen.face_index >= 0, seen.depth, 0)) + jnp.sum(seen.barycentric[..., 1])

        return jax.value_and_grad(loss)(vertices)

    want = jax.tree.map(np.asarray, work(vertices, faces))
    wrong, done = [], []

    def hammer():
        for _ in range(20):
            for got, expected in zip(jax.tree.leaves(work(vertices, faces)), jax.tree.leaves(want), strict=True):
                if not np.array_equal(got, expected):
                    wrong.append(got)
        done.append(True)

    threads = [threading.Thread(target=hammer, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(done) == len(threads) and not wrong


@pytest.mark.slow
@pytest.mark.parametrize("case", ["4096 pixels", "1,000,000 faces"])
def test_large(case):
    rng = np.random.default_rng(0)
    size, count, reach = ((4096, 4096), 20_000, 0.05) if case == "4096 pixels" else ((512, 512), 1_000_000, 0.01)
    centre = rng.uniform(-1.1, 1.1, (count, 1, 3))
    vertices = (centre + rng.uniform(-reach, reach, (count, 3, 3))).reshape(-1, 3).astype(np.float32)
    faces = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    native, plain = (rasterize(vertices, faces, size, backend=name) for name in ("native", "jax"))
    np.testing.assert_array_equal(native.face_index, plain.face_index)
    assert (native.face_index >= 0).mean() > 0.5


def test_other_platforms_draw_in_plain_jax():
    """One program for all: what is traced beside a CPU calls no kernel where it is compiled for something else."""
    vertices, faces = tangle(0, 1, "plain")

    def loss(vertices):
        return jnp.sum(rasterize(vertices, jnp.array(faces), SIZE).barycentric[..., 0])

    for platform, called in (("cpu", True), ("tpu", False), ("cuda", False)):
        traced = jax.jit(jax.grad(loss)).trace(vertices)
        code = traced.lower(lowering_platforms=(platform,)).as_text()
        assert (library.target("surface") in code) == called, platform


@pytest.mark.usefixtures("types_unchecked")
def test_words(monkeypatch):
    vertices, faces = tangle(0, 1, "plain")
    with pytest.raises(InputError, match="choose"):
        rasterize(vertices, faces, SIZE, backend="gpu")  # pyright: ignore[reportArgumentType]
    monkeypatch.setenv(choice.VARIABLE, "jax")
    assert not choice.draws_natively(None, "hard") and choice.draws_natively("native", "hard")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(InputError, match="no kernels for gpu"):
        choice.draws_natively("native", "hard")
