"""Drawn faces and renderings of the same faces, as a frozen network sees both: what a recogniser that is to feel the
same in both learns from (nets/emotion/on_open.py).

A rendering is drawn as a coarse stage draws it, by the encoders that such a stage starts from, in the photo's place.
The frozen network looks once; what reads its layers then learns in minutes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from data_pipelines import encoder_crops
from data_pipelines.augment import Amounts
from data_pipelines.loader import Batching, batches
from data_pipelines.open_faces.crops import narrow
from data_pipelines.sources import Source
from emoca_jax import render
from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.files.whole import open_folder, write_file
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import decode
from emoca_jax.nets.emotion.crop import crop_image, expression_crop
from emoca_jax.nets.emotion.on_open import SEEN, trunk_maps
from emoca_jax.nets.emotion.open import DENSE_SIZE

VIEWS = ("photo", "rendering", "lent", "odd")
"""Of a face: its photo; its rendering with true units and all other codes told; its true units on the next face of the
batch, in that one's photo: only what the units show is the same in all three. And a rendering of units that no face has
(`odd_units`)."""
LABELLED = 3
"""So many of them, from the first on, have the face's labels; of the last its units alone are known."""
ODD = 0.25
"""Share of the units that are drawn at random in `odd_units`."""
AT_ONCE = 32
LABELS = ("expression", "valence", "arousal")


class RenderedLooks(NamedTuple):
    """A row a look at a face."""

    maps: Float[np.ndarray, "looks views numbers"]
    """`on_open.trunk_maps` of VIEWS, half floats."""
    units: Float[np.ndarray, "looks views units"]
    """What each view shows, in the head's order: the true ones where it is LABELLED."""
    expression: Int[np.ndarray, "looks"]
    valence: Float[np.ndarray, "looks"]
    arousal: Float[np.ndarray, "looks"]


Look = Callable[[Key[Array, ""], Mapping[str, Array]], tuple[Array, Array]]
"""Of a key and a batch of the loader: maps and units, as RenderedLooks has them."""


def rendered_looks(source: Source, look: Look, *, seed: int, side: int) -> RenderedLooks:
    """One look at every face of packaged open faces that were looked for, but for those beyond whole batches of
    AT_ONCE. side: pixels of the packaged pictures."""
    once = Batching(
        size=AT_ONCE, seed=seed, side=side, margin=None, epochs=1, threads=1, ahead=2, processes=1, process=0
    )
    parts = list(_looked(iter(batches(source, once)), look, jax.random.key(seed)))
    return RenderedLooks(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _looked(loaded: Iterator[dict[str, np.ndarray]], look: Look, key: Key[Array, ""]) -> Iterator[RenderedLooks]:
    for number, batch in enumerate(loaded):
        seen = {name: jnp.asarray(narrow(batch[name])) for name in (*encoder_crops.KEPT, "units")}
        maps, units = jax.device_get(look(jax.random.fold_in(key, number), seen))
        yield RenderedLooks(maps, units, *(narrow(batch[name]) for name in LABELS))


def views_as_faces(batch: Mapping[str, Any], *, together: bool = False) -> dict[str, Any]:
    """A row a view: LABELLED ones, those of one look next to each other, then all others. batch: entries of
    RenderedLooks. Labels are of `labelled_rows` alone.

    together: all views of a look next to each other, so that they stay on its device where a batch is on many.
    """
    labels = {name: batch[name].repeat(LABELLED, axis=0) for name in LABELS}
    in_rows = _by_look if together else _first_labelled
    return {name: in_rows(batch[name]) for name in ("maps", "units")} | labels


def labelled_rows(rows: Array, *, together: bool = False) -> Array:
    """Those of rows in the order of `views_as_faces` that have labels, in the order of these."""
    if together:
        return _by_look(rows.reshape(-1, len(VIEWS), *rows.shape[1:])[:, :LABELLED])
    return rows[: rows.shape[0] // len(VIEWS) * LABELLED]


def _by_look(array: Any) -> Any:
    return array.reshape(-1, *array.shape[2:])


def _first_labelled(array: Any) -> Any:
    array_library = np if isinstance(array, np.ndarray) else jnp
    parts = (array[:, :LABELLED], array[:, LABELLED:])
    return array_library.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])


def labelled_alone(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What `views_as_faces` gives, without the rows that have no label."""
    return {name: array[: len(batch["valence"])] for name, array in batch.items()}


def odd_units(
    key: Key[Array, ""], told: Float[Array, "faces units"], lent: Float[Array, "faces units"]
) -> Float[Array, "faces units"]:
    """Units that no face has: told ones of half of the faces, lent ones of all others, ODD of them at random.

    A recogniser that has seen true units alone does not know what it sees when a loss moves one by itself, and feels
    there what it likes. Random ones are squared: most of a face's units are near rest.
    """
    half, which, strength = jax.random.split(key, 3)
    base = jnp.where(jax.random.bernoulli(half, 0.5, (told.shape[0], 1)), told, lent)
    return jnp.where(jax.random.bernoulli(which, ODD, told.shape), jax.random.uniform(strength, told.shape) ** 2, base)


def save_looks(place: Path, looks: RenderedLooks) -> None:
    """Keep looks in a file, which is whole or not there. Errors: InputError where it cannot be written."""
    open_folder(place.parent)
    write_file(place, lambda file: np.savez(file, **looks._asdict()))


DAMAGED = (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, BadZipFile, zlib.error)
"""What reading a file that is none, or no longer one, ends in."""


def load_looks(place: Path) -> RenderedLooks:
    """What `save_looks` kept. Errors: InputError where it is none."""
    try:
        # NumPy leaves a file that it cannot read open.
        with open(place, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            looks = RenderedLooks(*(np.atleast_1d(file[name]) for name in RenderedLooks._fields))
    except DAMAGED as error:
        raise InputError(f"{place}: holds no looks ({error}); make them with scripts/look_at_renderings.py") from error
    of_views = looks.maps.shape[1:] == (len(VIEWS), SEEN) and looks.units.shape[1:2] == (len(VIEWS),)
    if len({len(part) for part in looks}) != 1 or not of_views:
        raise InputError(f"{place}: holds looks of another network; make them anew with scripts/look_at_renderings.py")
    return looks


def looker(
    encode: Callable[[Mapping[str, Array]], Codes],
    draw: Callable[[Codes, Mapping[str, Array]], Array],
    trunk: Mapping[str, Any],
    *,
    size: int,
    amounts: Amounts | None,
) -> Look:
    """What looks, one program for all batches.

    encode: what a coarse stage starts from, of what it sees (`encoder_crops`), `size` pixels a side. draw: `in_place`
    for a head. trunk: parameters of the network that looks. amounts: of the change at random; None for pictures as they
    are at inference.
    """

    @jax.jit
    def look(key: Key[Array, ""], batch: Mapping[str, Array]) -> tuple[Array, Array]:
        change, stray = jax.random.split(key)
        if amounts is None:
            seen = encoder_crops.as_encoded(dict(batch), size=size)
        else:
            seen = encoder_crops.as_trained_on(change, dict(batch), size=size, amounts=amounts)
        codes = encode(seen)
        units = batch["units"].astype(jnp.float32)
        lent = jnp.roll(units, 1, axis=0)
        odd = odd_units(stray, codes.expression, lent)
        drawn = [seen["images"]]
        drawn += [draw(codes.replace(expression=shown), seen) for shown in (units, lent, odd)]
        crop = expression_crop(seen["landmarks_mediapipe"])
        upright = [
            jax.vmap(lambda picture, one: crop_image(picture, one, size=DENSE_SIZE))(pictures, crop)
            for pictures in drawn
        ]
        looks = [trunk_maps(trunk, pictures).astype(jnp.float16) for pictures in upright]
        # Back to those whose units were lent.
        looks[2] = jnp.roll(looks[2], -1, axis=0)
        return jnp.stack(looks, axis=1), jnp.stack([units, units, units, odd], axis=1)

    return look


def in_place(head: FaceHead, codes: Codes, seen: Mapping[str, Array]) -> Float[Array, "batch size size 3"]:
    """A rendering in the place of each photo, under the mask of its face, as the emotion loss sees it."""
    images = seen["images"]
    found = decode(head, codes, images.shape[1:3])
    cover = found.alpha * seen["mask"]
    return render.over(images, jnp.clip(found.rendering, 0, 1) * cover[..., None], cover)
