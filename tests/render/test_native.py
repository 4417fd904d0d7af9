"""Kernels against plain JAX: the same face everywhere, whoever calls and however often."""

import functools
import importlib.util
import os
import re
import subprocess
import sys
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
from emoca_jax.render.backends.kernels import library
from tests.render.conftest import MISSING

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "-")
SIZE, VERTICES, FACES = (20, 33), 24, 40
NEAR = 0.3
SPLIT = PartitionSpec("batch")
OPTIONS = ({}, {"official": True, "cull": "back"}, {"perspective": True, "near": NEAR, "cull": "front"})


def mesh(seed: int, images: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Faces that share vertices: slivers, faces of no area or seen edge-on, faces through the camera, not finite."""
    rng = np.random.default_rng(seed)
    vertices = rng.uniform(-1.3, 1.3, (images, VERTICES, 3))
    if kind == "slivers":
        vertices[..., :2] = vertices[..., :1] * rng.uniform(-1, 1, (images, 1, 2)) + rng.normal(
            0, 10.0 ** rng.uniform(-8, -1, (images, VERTICES, 1)), (images, VERTICES, 2)
        )
    if kind == "grid":
        vertices = np.round(vertices * 8) / 8
    if kind == "huge":
        vertices *= 10.0 ** rng.uniform(-3, 8, (images, VERTICES, 1))
    if kind == "broken":
        vertices[:, :3] = [[np.nan, 0, 0], [np.inf, 0, 0], [0, 0, -np.inf]]
    return vertices.astype(np.float32), rng.integers(0, VERTICES, (FACES, 3)).astype(np.int32)


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
    vertices, faces = mesh(seed, 2, kind)
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


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(0, 10**6), st.sampled_from(["plain", "slivers", "grid", "broken"]), st.sampled_from([None, 5]),
    st.booleans(),
)  # fmt: skip
def test_both_back_ends_blur_alike(seed, kind, layers, clip):
    vertices, faces = mesh(seed, 2, kind)
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


@pytest.mark.parametrize("options", [{"sigma": -1e-3}, {"sigma": np.nan}, {"sigma": 0.0}, {"blur_radius": -1.0}])
def test_softness_that_makes_no_sense_is_none_everywhere(options):
    vertices, faces = mesh(1, 1, "plain")
    for backend in ("native", "jax"):
        draw = functools.partial(soft_silhouette, vertices, faces, SIZE, backend=backend)
        assert np.isnan(jax.jit(lambda options, draw=draw: draw(**options))(options)).all()
        with pytest.raises(InputError, match=next(iter(options))):
            draw(**{name: jnp.float32(value) for name, value in options.items()})


@pytest.mark.parametrize("far", [1e18, 3e38])
def test_soft_faces_that_end_too_far_away_are_left_out(far):
    vertices, faces = mesh(1, 2, "plain")
    without = np.where((faces == 0).any(-1, keepdims=True), 0, faces)
    vertices[:, 0, 1] = far
    weights = np.ones((2, *SIZE), np.float32)
    for got, expected in zip(
        softened("native", None)(vertices, faces, weights, False),
        softened("jax", None)(vertices, without, weights, False), strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(got, expected, atol=1e-4 * max(1.0, np.abs(expected).max()))


def test_every_face_map_under_vmap_and_shards():
    """Own faces for each image, maps in maps, and shards: nothing but what one image at a time gives."""
    vertices = jnp.array(np.stack([mesh(seed, 3, "plain")[0] for seed in range(2)]))
    faces = jnp.array(np.stack([mesh(seed, 1, "plain")[1] for seed in range(3)]))
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


def test_mapped_faces_and_blurs_of_a_batch():
    """What is shared by a batch and mapped over it: each turn has its own, with gradients."""
    vertices = jnp.array(mesh(0, 2, "plain")[0])
    faces = jnp.array(np.stack([mesh(seed, 1, "plain")[1] for seed in range(3)]))
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
    vertices, faces = mesh(1, 2, "plain")
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
    vertices, faces = mesh(1, 1, "plain")
    with jax.enable_x64(True):
        assert not choice.draws_natively(None, "hard")
        with pytest.raises(InputError, match="jax_enable_x64"):
            rasterize(vertices, faces, SIZE, backend="native")


def test_many_threads_at_once():
    """More calls at once than XLA has threads, with gradients and under `vmap`: all end, and all alike."""
    vertices, faces = mesh(3, 12, "plain")
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
    vertices, faces = mesh(0, 1, "plain")

    def loss(vertices):
        return jnp.sum(rasterize(vertices, jnp.array(faces), SIZE).barycentric[..., 0])

    for platform, called in (("cpu", True), ("tpu", False), ("cuda", False)):
        traced = jax.jit(jax.grad(loss)).trace(vertices)
        code = traced.lower(lowering_platforms=(platform,)).as_text()
        assert (library.target("surface") in code) == called, platform


@pytest.mark.usefixtures("types_unchecked")
def test_words(monkeypatch):
    vertices, faces = mesh(0, 1, "plain")
    with pytest.raises(InputError, match="choose"):
        rasterize(vertices, faces, SIZE, backend="gpu")  # pyright: ignore[reportArgumentType]
    monkeypatch.setenv(choice.VARIABLE, "jax")
    assert not choice.draws_natively(None, "hard") and choice.draws_natively("native", "hard")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(InputError, match="no kernels for gpu"):
        choice.draws_natively("native", "hard")


CHILD = """
import sys, time
if "without" in sys.argv: sys.modules["numba"] = sys.modules["llvmlite"] = None
import jax.numpy as jnp
from emoca_jax.render import rasterize, soft_silhouette
from emoca_jax.render.backends.kernels import library
found = rasterize(jnp.array([[-1.0, -1, 0], [1, -1, 0], [0, 1, 0]]), jnp.array([[0, 1, 2]]), (4, 4))
print(library.why_not("hard")[:16], int((found.face_index >= 0).sum()), "numba" in sys.modules)
"""


def in_new_process(cache, *words):
    environment = os.environ | {"EMOCA_JAX_CACHE": str(cache)}
    environment.pop(choice.VARIABLE, None)
    command = [sys.executable, "-W", "error", "-c", CHILD, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip(), done.stderr


def test_kept_code_is_not_used_where_a_constant_in_it_has_changed():
    """Whatever the kernels take from files outside of their folder is in the name of what is kept."""
    taken = {
        name
        for path in library.HERE.glob("*.py")
        for name in re.findall(r"^from emoca_jax\.render\.backends\.(\w+) import", path.read_text(), re.MULTILINE)
    }
    assert {f"{name}.py" for name in taken - {"kernels"}} == set(library.SHARED)


def test_kept_code_is_the_users_alone_and_heals(tmp_path):
    folder = tmp_path / "cache"
    assert in_new_process(folder) == ("8 False", "")
    (kept,) = folder.rglob("kernels-hard-*.o")
    whole = kept.read_bytes()
    assert kept.parent.stat().st_mode & 0o777 == folder.stat().st_mode & 0o777 == 0o700
    kept.write_bytes(whole[:-1])
    assert in_new_process(folder) == ("8 False", "")
    assert len(kept.read_bytes()) == len(whole)
    folder.chmod(0o770)
    assert in_new_process(folder) == (f"{folder} is"[:16] + " 8 False", "")


def test_kept_code_is_read_where_nothing_can_be_written(tmp_path):
    folder = tmp_path / "cache"
    assert in_new_process(folder) == ("8 False", "")
    (kept,) = folder.rglob("kernels-hard-*.o")
    before = kept.stat().st_mtime_ns
    kept.parent.chmod(0o500)
    try:
        if os.access(kept.parent, os.W_OK):
            pytest.skip("this user may write everywhere")
        assert in_new_process(folder) == ("8 False", "")
        assert kept.stat().st_mtime_ns == before
        kept.parent.chmod(0o700)
        kept.unlink()
        kept.parent.chmod(0o500)
        assert in_new_process(folder) == ("there is no fold 8 False", "")
    finally:
        kept.parent.chmod(0o700)


def test_without_numba_or_a_folder(tmp_path):
    assert in_new_process(tmp_path / "cache", "without") == ("numba is missing 8 True", "")
    assert in_new_process("") == ("there is no fold 8 False", "")
    assert importlib.util.find_spec("numba")
