"""Drawn faces as networks see them that stay as they are (nets/emotion/frozen.py), each changed at random.

What reads these networks' layers then learns in minutes: no picture is drawn, changed or seen again.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key
from rich.progress import track

from data_pipelines.augment import Amounts, changed, cut, jittered, mirrored
from data_pipelines.open_faces.crops import BYTE, drawn_crop
from data_pipelines.pixels import decoded
from data_pipelines.sources import Source
from emoca_jax.emotion.landmark_units import landmark_units
from emoca_jax.emotion.units import ARKIT_UNITS, MIRRORED
from emoca_jax.flame import load_head
from emoca_jax.mediapipe_points import EXPRESSION_POINTS
from emoca_jax.nets.emotion.frozen import MAPS, PICTURE_SIZE, Maps, expression_maps, mesh_crops, picture_crop
from emoca_jax.nets.mediapipe.mesh_look import mesh_look
from emoca_jax.nets.weights import Parameters

AT_ONCE = 32
FOUND = Amounts(turn=0.03, zoom=0.03, shift=0.02)
"""How far crops by landmarks that are found lie beside those by true ones: so far pictures that judge are moved."""
NUMBERS = sum(cells * cells * channels for cells, channels in MAPS.values())
"""Of all maps of one look."""


class Eyes(NamedTuple):
    """Parameters of the networks that look, as they ship."""

    expression: Parameters
    mesh: Parameters
    units: Parameters


class FrozenSets(NamedTuple):
    """A row a look at a face."""

    maps: Float[np.ndarray, "looks numbers"]
    """`flat_maps`, half floats."""
    read: Float[np.ndarray, "looks 52"]
    """Units off the landmarks that the mesh network places in the same look."""
    points: Float[np.ndarray, "looks 146 3"]
    """Those of these landmarks that tell expression (`EXPRESSION_POINTS`), in pixels of the network's crop."""
    units: Float[np.ndarray, "looks 52"]
    """The true ones, both in the order of `ARKIT_UNITS`, and mirrored where the picture was."""
    expression: Int[np.ndarray, "looks"]
    affect: Float[np.ndarray, "looks 2"]
    """Valence, arousal."""


def flat_maps(maps: Maps) -> Float[Array, "batch numbers"]:
    """All maps in a row, in the order of the alphabet."""
    return jnp.concatenate([maps[name].reshape(len(maps[name]), -1) for name in sorted(maps)], axis=-1)


def maps_of(flat: Any) -> Maps:
    """What `flat_maps` put in a row, [batch, numbers], JAX's or NumPy's."""
    maps, start = {}, 0
    for name in sorted(MAPS):
        cells, channels = MAPS[name]
        end = start + cells * cells * channels
        maps[name] = flat[:, start:end].astype(jnp.float32).reshape(-1, cells, cells, channels)
        start = end
    return maps


def frozen_sets(source: Source, eyes: Eyes, key: Key[Array, ""], *, amounts: Amounts | None) -> FrozenSets:
    """A look at every face of packaged open faces, moved and changed at random, half of them mirrored; or, without
    amounts, two looks that judge: of all plain pictures, then of all mirrored ones."""
    order = [load_head("open").expression_names.index(name) for name in ARKIT_UNITS]
    looks, known, count = [], [], len(source)
    for start in track(range(0, count, AT_ONCE), "looks"):
        # One program for all batches: the last one repeats its last face.
        samples = [source[min(row, count - 1)] for row in range(start, start + AT_ONCE)]
        batch = {
            "image": np.stack([decoded(sample["image"]) for sample in samples]),
            "points": np.stack([sample["points"] for sample in samples]).astype(np.float32),
            "units": np.stack([sample["units"] for sample in samples])[:, order].astype(np.float32),
        }
        kept = min(AT_ONCE, count - start)
        known += [(face["expression"], face["valence"], face["arousal"]) for face in samples[:kept]]
        told = _looked_at(eyes, jax.random.fold_in(key, start), batch, amounts)
        looks.append([np.asarray(part).reshape(-1, AT_ONCE, *part.shape[1:])[:, :kept] for part in told])
    maps, read, points, units = (
        np.concatenate(parts, axis=1).reshape(-1, *parts[0].shape[2:]) for parts in zip(*looks, strict=True)
    )
    labels = np.tile(np.array(known, np.float32), (len(maps) // count, 1))
    return FrozenSets(maps, read, points, units, labels[:, 0].astype(np.int32), labels[:, 1:])


@functools.partial(jax.jit, static_argnames="amounts")
def _looked_at(
    eyes: Eyes, key: Key[Array, ""], batch: dict[str, Array], amounts: Amounts | None
) -> tuple[Array, Array, Array, Array]:
    """Maps, units off landmarks, points, true units."""
    images, units = batch["image"].astype(jnp.float32) / BYTE, batch["units"]
    move, mirror, change = jax.random.split(key, 3)
    # The whole picture, as it is stored.
    place = jnp.broadcast_to(jnp.array([0.0, 0.0, 1.0]), (len(images), 3))
    crop = picture_crop(drawn_crop(batch["points"], place, side=images.shape[1]))
    seen = cut(images, jittered(move, crop, FOUND if amounts is None else amounts), size=PICTURE_SIZE)
    if amounts is None:
        seen, units = jnp.concatenate([seen, seen[:, :, ::-1]]), jnp.concatenate([units, units[:, MIRRORED]])
    else:
        seen, units = mirrored(mirror, seen, units, MIRRORED)
        seen = changed(change, seen, amounts)
    mesh = mesh_look(eyes.mesh, mesh_crops(seen))
    maps = flat_maps({**expression_maps(eyes.expression, seen), **mesh.maps})
    points = mesh.points[:, jnp.array(EXPRESSION_POINTS)]
    return maps.astype(jnp.float16), landmark_units(eyes.units, mesh.points), points, units
