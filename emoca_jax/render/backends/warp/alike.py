"""Draws a few scenes by the kernels for GPUs and by plain JAX on a CPU, and says in what they differ.

`trial.py` asks, in a process of its own, on a GPU that has not drawn by them before; on a CPU it is warp's CPU
device that draws.
"""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from emoca_jax.render.antialias import antialias
from emoca_jax.render.backends.choice import Backend
from emoca_jax.render.backends.warp.trial import ALIKE, DIFFERS, LONGEST, key_here
from emoca_jax.render.rasterize import rasterize
from emoca_jax.render.soft import soft_rasterize, soft_silhouette

SIZE = (48, 57)
"""Pixels, down and across."""
FACES, VERTICES, BATCH, SEED = 60, 40, 2, 0
LARGE, MANY, SMALL = (224, 224), 10_000, 0.03
"""Of the other scene: pixels, faces, and how far they reach."""
RULES: tuple[Mapping[str, Any], ...] = ({}, {"perspective": True, "near": 0.3, "cull": "back"})
SAME_DEPTH, SAME_GRADIENT = 1e-6, 1e-4
"""What docs/rendering.md promises of any back end, of gradients in parts of the largest."""
SAME_SOFT = (2e-4, 1e-3)
"""Soft values and gradients: a face just within the blur here and just beyond it there weighs 1e-4."""
SAME_SMOOTH = (1e-5, 1e-4)
"""Of anti-aliased pictures."""
SIGMA, NEAREST = 1e-3, 50
COLOURING = {"sigma": SIGMA, "gamma": 0.05, "near": -2.0, "far": 3.0, "faces_per_pixel": None}
"""Of all faces: of few, plain JAX is not sure in its derivative which is the last."""


class Scene(NamedTuple):
    """Faces of any size and topology."""

    vertices: Float[np.ndarray, "batch vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    weights: Float[np.ndarray, "batch height width 4"]
    """Of barycentrics and depths, whose sum has a gradient."""

    @property
    def size(self) -> tuple[int, int]:
        """Pixels, down and across."""
        return self.weights.shape[1], self.weights.shape[2]


class Drawn(NamedTuple):
    """What one back end makes of it."""

    face_index: Int[np.ndarray, "batch height width"]
    depth: Float[np.ndarray, "batch height width"]
    gradient: Float[np.ndarray, "batch vertices 3"]


class Softened(NamedTuple):
    """A picture of it that has a gradient at outlines."""

    values: Float[np.ndarray, "batch height width *channels"]
    gradient: Float[np.ndarray, "batch vertices 3"]


def scene() -> Scene:
    """A soup of faces, most of them large, some off the picture and some in front of the near plane; the same every
    time."""
    rng = np.random.default_rng(SEED)
    vertices = rng.uniform(-1.3, 1.3, (BATCH, VERTICES, 3)).astype(np.float32)
    faces = rng.integers(0, VERTICES, (FACES, 3)).astype(np.int32)
    return Scene(vertices, faces, rng.normal(size=(BATCH, *SIZE, 4)).astype(np.float32))


def crowd() -> Scene:
    """As many faces as a head has, and as small; the same every time."""
    rng = np.random.default_rng(SEED)
    middle = rng.uniform(-1.1, 1.1, (1, MANY, 1, 3))
    vertices = (middle + rng.uniform(-SMALL, SMALL, (1, MANY, 3, 3))).astype(np.float32).reshape(1, -1, 3)
    faces = np.arange(3 * MANY, dtype=np.int32).reshape(-1, 3)
    return Scene(vertices, faces, rng.normal(size=(1, *LARGE, 4)).astype(np.float32))


def drawn(shown: Scene, backend: Backend, rules: Mapping[str, Any]) -> Drawn:
    """Its surface."""

    def loss(vertices: Any) -> Any:
        seen = rasterize(vertices, jnp.asarray(shown.faces), shown.size, backend=backend, **rules)
        depth = jnp.where(seen.face_index >= 0, seen.depth, 0.0)
        return jnp.sum(seen.barycentric * shown.weights[..., :3]) + jnp.sum(depth * shown.weights[..., 3]), seen

    gradient, seen = jax.jit(jax.grad(loss, has_aux=True))(jnp.asarray(shown.vertices))
    return Drawn(*(np.asarray(array) for array in (seen.face_index, seen.depth, gradient)))


def softened(shown: Scene, backend: Backend) -> Softened:
    """Its soft silhouette."""

    def picture(vertices: Any) -> Any:
        return soft_silhouette(
            vertices, jnp.asarray(shown.faces), shown.size, sigma=SIGMA, faces_per_pixel=NEAREST, backend=backend
        )

    return _with_gradient(picture, shown)


def coloured(shown: Scene, backend: Backend) -> Softened:
    """Soft, the colour of a vertex being where it is."""

    def picture(vertices: Any) -> Any:
        return soft_rasterize(vertices, jnp.asarray(shown.faces), vertices, shown.size, backend=backend, **COLOURING)

    return _with_gradient(picture, shown)


def smoothed(shown: Scene, backend: Backend) -> Softened:
    """Its surface, coloured by barycentrics, with anti-aliased outlines."""

    def picture(vertices: Any) -> Any:
        faces = jnp.asarray(shown.faces)
        seen = jax.lax.stop_gradient(rasterize(vertices, faces, shown.size, backend=backend))
        return antialias(seen.barycentric, seen, vertices, faces, backend=backend)

    return _with_gradient(picture, shown)


def _with_gradient(picture: Callable[[Any], Any], shown: Scene) -> Softened:
    def loss(vertices: Any) -> Any:
        image = picture(vertices)
        return jnp.mean(image**2), image

    gradient, image = jax.jit(jax.grad(loss, has_aux=True))(jnp.asarray(shown.vertices))
    return Softened(np.asarray(image), np.asarray(gradient))


def other_surface(ours: Drawn, theirs: Drawn) -> Iterator[str]:
    """In what two drawings of a surface differ."""
    other = ours.face_index != theirs.face_index
    if other.any():
        yield f"other faces in {other.sum()} of {other.size} pixels"
        return
    seen = theirs.face_index >= 0
    deepest = max(1, np.abs(theirs.depth[seen]).max(initial=0))
    far = np.abs(ours.depth[seen] - theirs.depth[seen]).max(initial=0) / deepest
    if not far <= SAME_DEPTH:
        yield f"depths are {far:.1e} off"
    yield from _apart("the gradient is", ours.gradient, theirs.gradient, SAME_GRADIENT)


def other_outline(
    ours: Softened, theirs: Softened, *, name: str = "soft", same: tuple[float, float] = SAME_SOFT
) -> Iterator[str]:
    """In what two pictures with outlines that have gradients differ. same: how far values and gradients may be off."""
    for what, one, other, most in zip(("values", "gradients"), ours, theirs, same, strict=True):
        yield from _apart(f"{name} {what} are", one, other, most)


def _apart(what: str, ours: np.ndarray, theirs: np.ndarray, most: float) -> Iterator[str]:
    far = np.abs(ours - theirs).max() / np.abs(theirs).max()
    if not far <= most:
        yield f"{what} {far:.1e} of the largest off"


def differences() -> Iterator[str]:
    """Between the kernels on this platform and plain JAX on a CPU."""
    shown, cpu = scene(), jax.local_devices(backend="cpu")[0]
    for faces, rules in (*((shown, rules) for rules in RULES), (crowd(), RULES[0])):
        ours = drawn(faces, "warp", rules)
        with jax.default_device(cpu):
            theirs = drawn(faces, "jax", rules)
        yield from other_surface(ours, theirs)
    for name, outlined, same in OUTLINED:
        here = outlined(shown, "warp")
        with jax.default_device(cpu):
            yield from other_outline(here, outlined(shown, "jax"), name=name, same=same)


OUTLINED: tuple[tuple[str, Callable[[Scene, Backend], Softened], tuple[float, float]], ...] = (
    ("soft", softened, SAME_SOFT), ("anti-aliased", smoothed, SAME_SMOOTH), ("soft colours'", coloured, SAME_SOFT),
)  # fmt: skip
"""What is drawn with outlines that have gradients, and how far values and gradients may be off."""


def main(key: str) -> int:
    """Exit code: 0 where all is alike, else 1. key: of what is tried, as who asks knows it (`trial.key_here`)."""
    # Who asks may be gone before this comes to its end.
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    if key_here() != key:
        print("the Python that tried them has another emoca_jax, jax or warp", file=sys.stderr)
        return 1
    found = list(differences())
    print("; ".join(found))
    print(f"{DIFFERS if found else ALIKE} {key}")
    return 1 if found else 0
