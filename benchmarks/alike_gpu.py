"""Whether the kernels for GPUs draw what warp's CPU device and plain JAX draw: `rasterize_gpu.py` asks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rasterize import SEED, drawing_by, jobs, sphere

from emoca_jax import render
from emoca_jax.render.backends import choice

CHECKED = 48
"""Pixels of the pictures that are compared, which a CPU draws as well."""
SAME_GRADIENT = 1e-4
SAME_SOFT = (2e-4, 1e-3)
"""Values and gradients: a face just within the blur here and just beyond it there weighs 1e-4."""
SAME_FINISHED = 1e-4
"""Of shaded, textured and of anti-aliased pictures and their gradients, in parts of the largest number."""


def differences() -> Iterator[str]:
    """In which pictures the kernels differ, on this platform, from warp's CPU device and from plain JAX."""
    yield from other_surfaces()
    here, plain = finished("warp"), finished("jax")
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        exact = finished("warp")
    for against, theirs in (("the CPU", exact), ("plain JAX", plain)):
        for what, ours in here.items():
            far = np.abs(ours - theirs[what]).max() / np.abs(theirs[what]).max()
            if not far < SAME_FINISHED:
                yield f"ball, {what}: {far:.1e} of the largest number away from that of {against}"


def other_surfaces() -> Iterator[str]:
    """Of a ball and a soup of faces: hard surfaces by several rules, and soft outlines."""
    rng = np.random.default_rng(SEED)
    ball, size = sphere(), (CHECKED, CHECKED + 9)
    soup = rng.uniform(-1.3, 1.3, (2, 40, 3)).astype(np.float32), rng.integers(0, 40, (60, 3)).astype(np.int32)
    # Nearer than the plane at which perspective begins in places, nowhere behind the camera, where the soup is.
    vertices = np.asarray(ball.vertices)[None] + np.array([0, 0, 1.2], np.float32)
    scenes = {"ball": (vertices, np.asarray(ball.faces, np.int32)), "soup": soup}
    ways: dict[str, dict[str, Any]] = {
        "as it is": {}, "official": {"official": True, "cull": "back"},
        "perspective": {"perspective": True, "near": 0.3},
    }  # fmt: skip
    for scene, (vertices, faces) in scenes.items():
        weights = rng.normal(size=(len(vertices), *size, 4)).astype(np.float32)
        for way, rules in ways.items():
            here = drawn("warp", vertices, faces, weights, size, rules)
            with jax.default_device(jax.local_devices(backend="cpu")[0]):
                exact = drawn("warp", vertices, faces, weights, size, rules)
            plain = drawn("jax", vertices, faces, weights, size, rules)
            name = f"{scene}, {way}"
            for what, ours, theirs in zip(("faces", "barycentrics", "depths"), here, exact, strict=False):
                if not np.array_equal(ours, theirs):
                    yield f"{name}: {what} are not those of the CPU, {np.mean(ours != theirs):.2e} of them"
            other = here[0] != plain[0]
            if other.any():
                yield f"{name}: other faces than plain JAX in {other.sum()} of {other.size} pixels"
            for against, other_gradient in (("the CPU", exact[3]), ("plain JAX", plain[3])):
                far = np.abs(here[3] - other_gradient).max() / max(1.0, np.abs(other_gradient).max())
                if not far < SAME_GRADIENT and not other.any():
                    yield f"{name}: the gradient is {far:.1e} of its largest number away from that of {against}"
        for what, picture in (("soft outline", softened), ("soft colours", coloured)):
            yield from other_blurs(f"{scene}, {what}", functools.partial(picture, vertices, faces, size))


def other_blurs(name: str, drawn: Callable[[choice.Backend], tuple[np.ndarray, ...]]) -> Iterator[str]:
    """In what a soft picture or its gradients differ."""
    here, plain = drawn("warp"), drawn("jax")
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        exact = drawn("warp")
    for against, theirs in (("the CPU", exact), ("plain JAX", plain)):
        for number, (ours, other) in enumerate(zip(here, theirs, strict=True)):
            what, most = ("values", SAME_SOFT[0]) if number == 0 else ("gradients", SAME_SOFT[1])
            far = np.abs(ours - other).max() / np.abs(other).max()
            if not far < most:
                yield f"{name}: {what} are {far:.1e} of the largest away from those of {against}"


def finished(backend: choice.Backend) -> dict[str, np.ndarray]:
    """A shaded, textured ball, and what its mean square and that of an anti-aliased outline say of each input."""
    told = {}
    with drawing_by(backend):
        drawings = jobs(sphere(), 2, CHECKED)
        image, inputs = drawings["shaded, textured image"]
        told["shaded, textured image"] = np.asarray(image(*inputs))
        shaded, inputs = drawings["shaded, textured image with gradients"]
        for what, gradient in zip(("vertices", "texture", "light"), shaded(*inputs)[1], strict=True):
            told[f"shaded image's gradient to the {what}"] = np.asarray(gradient)
        outline, inputs = drawings["anti-aliased outline with gradients"]
        told["anti-aliased outline's mean square"], told["its gradient"] = map(np.asarray, outline(*inputs))
    return told


def softened(
    vertices: np.ndarray, faces: np.ndarray, size: tuple[int, int], backend: choice.Backend
) -> tuple[np.ndarray, np.ndarray]:
    """A soft silhouette of the 50 nearest faces, and the gradient of its mean square."""

    def loss(vertices):
        image = render.soft_silhouette(vertices, jnp.asarray(faces), size, sigma=1e-3, backend=backend)
        return jnp.mean(image**2), image

    gradient, image = jax.jit(jax.grad(loss, has_aux=True))(jnp.asarray(vertices))
    return np.asarray(image), np.asarray(gradient)


def coloured(
    vertices: np.ndarray, faces: np.ndarray, size: tuple[int, int], backend: choice.Backend
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Colours blended softly over all faces, and the gradients of their mean square to vertices and colours."""
    colours = np.random.default_rng(SEED).uniform(size=(vertices.shape[-2], 3)).astype(np.float32)

    def loss(vertices, colours):
        # Of few faces plain JAX is not sure, the second time, which is the last.
        image = render.soft_rasterize(vertices, jnp.asarray(faces), colours, size, sigma=1e-3, gamma=0.05, near=-2.0,
                                      far=3.0, faces_per_pixel=None, backend=backend)  # fmt: skip
        return jnp.mean(image**2), image

    gradients, image = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(jnp.asarray(vertices), jnp.asarray(colours))
    return tuple(map(np.asarray, (image, *gradients)))


def drawn(
    backend: choice.Backend, vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray, size: tuple[int, int],
    rules: dict[str, Any],
) -> list[np.ndarray]:  # fmt: skip
    """Faces, barycentrics, depths, and the gradient of a weighed sum of the last two."""

    def loss(vertices):
        seen = render.rasterize(vertices, jnp.asarray(faces), size, backend=backend, **rules)
        depth = jnp.where(seen.face_index >= 0, seen.depth, 0.0)
        return jnp.sum(seen.barycentric * weights[..., :3]) + jnp.sum(depth * weights[..., 3]), seen

    gradient, seen = jax.jit(jax.grad(loss, has_aux=True))(jnp.asarray(vertices))
    return [np.asarray(array) for array in (seen.face_index, seen.barycentric, seen.depth, gradient)]
