"""Faces by number: `open_face(studio, seed, index)`, one by one or many at once, with the same bytes either way."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from data_pipelines.open_faces.draw import Drawn, Studio, draw
from data_pipelines.open_faces.emotions import Shown
from data_pipelines.open_faces.recipe import Face, Recipe, recipe
from data_pipelines.open_faces.sensor import jpeg, opened
from emoca_jax.capture.detect import Networks, detect_faces, largest_face
from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.nets.encoders import IMAGE_SIZE

SIZE = IMAGE_SIZE
"""EMOCA's image size; 112 is what small networks on CPUs read, at a third of the cost."""
CHUNK = 32
"""Faces that are drawn by one call of a GPU or TPU; always as many, so that none depends on how many are wanted."""


@dataclasses.dataclass(frozen=True)
class OpenFace:
    """One drawn face with everything known about it; NumPy throughout."""

    seed: int
    index: int
    person: int
    """Faces of one seed with the same number show the same person."""
    file: bytes
    """The JPEG."""
    image: UInt8[np.ndarray, "size size 3"]
    """As whoever opens the file sees it."""
    mask: UInt8[np.ndarray, "size size"]
    """Place in `draw.MASK_NAMES`."""
    depth: Float[np.ndarray, "size size"]
    """Of the head, coverings left out: metres from its origin towards the viewer; NaN beside it."""
    landmarks: Float[np.ndarray, "478 3"]
    """MediaPipe's points where they truly are: x, y in the image plane ([-1, 1]^2, y down), z as the depth."""
    landmarks68: Float[np.ndarray, "68 3"]
    """iBUG's, likewise; the jaw line along the visible outline."""
    visible: Bool[np.ndarray, "478"]
    """Which of the 478 nothing hides."""
    codes: Codes
    """With them `emoca_jax.decode` gives the same head, but for `distance` and hard lamps."""
    distance: float
    """Metres from the head's origin to the camera: nearer points look larger than in the codes' weak perspective."""
    shown: Shown
    """Units, emotion, intensity, valence, arousal."""


def open_face(studio: Studio, seed: int, index: int, *, size: int = SIZE) -> OpenFace:
    """Face `index` of the dataset `seed`; pure, the same bytes on one machine and version of jax.

    Errors: InputError for negative numbers or a size below 16.
    """
    return next(open_faces(studio, seed, [index], size=size))


def open_faces(
    studio: Studio, seed: int, indices: Iterable[int], *, size: int = SIZE, threads: int = 1
) -> Iterator[OpenFace]:
    """Faces in the order of their numbers. threads: how many are drawn at the same time on a CPU."""
    indices = [int(index) for index in indices]
    if seed < 0 or min(indices, default=0) < 0 or size < 16 or threads < 1:
        raise InputError(
            f"seed {seed}, indices from {min(indices, default=0)}, size {size} and threads {threads}: numbers must not "
            "be negative, pictures at least 16 pixels wide, threads at least 1."
        )
    if jax.default_backend() != "cpu":
        yield from _by_chunks(studio, seed, indices, size)
        return

    def one(index: int) -> OpenFace:
        face = face_of(studio, seed, index)
        return _told(seed, index, face, jax.tree.map(np.asarray, draw(studio, face.recipe, size=size)))

    if threads == 1:
        yield from map(one, indices)
        return
    with ThreadPoolExecutor(threads) as pool:
        # A few ahead, not all: whoever takes only some does not wait for the rest.
        for start in range(0, len(indices), 4 * threads):
            yield from pool.map(one, indices[start : start + 4 * threads])


def face_of(studio: Studio, seed: int, index: int) -> Face:
    """What is drawn, before it is: quick, so that classes and identities are known of every index."""
    head = studio.head
    assert head.albedo is not None
    return recipe(head.expression_names, head.shape_dirs.shape[-1], head.albedo.names, seed, index)


def _by_chunks(studio: Studio, seed: int, indices: Sequence[int], size: int) -> Iterator[OpenFace]:
    for start in range(0, len(indices), CHUNK):
        part = indices[start : start + CHUNK]
        faces = [face_of(studio, seed, index) for index in part]
        padded = [face.recipe for face in faces] + [faces[-1].recipe] * (CHUNK - len(part))
        drawn = jax.device_get(draw_many(studio, stacked(padded), size=size))
        for row, (index, face) in enumerate(zip(part, faces, strict=True)):
            yield _told(seed, index, face, jax.tree.map(lambda leaf, row=row: leaf[row], drawn))


def stacked(recipes: Sequence[Recipe]) -> Recipe:
    """Recipes as one, with a batch dimension in front."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *recipes)


def _draw_many(studio: Studio, recipes: Recipe, *, size: int) -> Drawn:
    return jax.vmap(lambda one: draw(studio, one, size=size))(jax.tree.map(jnp.asarray, recipes))


draw_many = jax.jit(_draw_many, static_argnames="size")
"""Faces of one batch of recipes by one program, for GPUs and TPUs; without JPEG, which the host makes."""


def _told(seed: int, index: int, face: Face, drawn: Any) -> OpenFace:
    file = jpeg(drawn.image, int(face.recipe.camera.quality))
    return OpenFace(
        seed=seed, index=index, person=face.person, file=file, image=opened(file), mask=drawn.mask, depth=drawn.depth,
        landmarks=drawn.landmarks, landmarks68=drawn.landmarks68, visible=drawn.visible, codes=face.recipe.codes,
        distance=float(face.recipe.distance), shown=face.shown,
    )  # fmt: skip


def found_landmarks(detector: Networks, image: UInt8[np.ndarray, "size size 3"]) -> Float[np.ndarray, "478 3"] | None:
    """The 478 points as our own detector finds them, in the image plane, z in its unit; None where it finds no face.

    Slow: some ten times as long as drawing the face.
    """
    found = detect_faces(detector, image)
    if not found:
        return None
    scale: Any = 2 / np.array([image.shape[1], image.shape[0], image.shape[1]])
    return (largest_face(found).landmarks * scale - [1, 1, 0]).astype(np.float32)
