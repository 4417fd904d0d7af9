"""The maps of kept looks (frozen_sets.py) brought to one scale for training, changed at random, and back in weights.

Weights that learned from levelled maps are turned into such as read maps as they come, and the other way round.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from data_pipelines.frozen_sets import maps_of
from emoca_jax.emotion.units import ARKIT_UNITS
from emoca_jax.nets.emotion.frozen import MAPS, Maps
from emoca_jax.nets.emotion.picture_reader import NARROW, POINTS
from emoca_jax.similarity import align_similarity

STRAY = 0.3
"""Deviation by which each channel of each map is scaled and moved, anew in every picture: what photos' differ by from
drawn faces'."""
STRAY_POINTS = 0.45
"""Deviation by which each point is moved, in pixels of the mesh network's crop: a hundredth of a face's size."""
PROCRUSTES_ROUNDS = 3
"""Of laying all faces over their mean; it hardly moves after two."""
HIDDEN_MAPS = 0.05
"""Share of the maps that is hidden as a whole, so that none is relied on alone."""

Spread = dict[str, tuple[np.ndarray, np.ndarray]]
"""Mean and deviation of each map's channels."""


def spread_of(flat: Float[np.ndarray, "looks numbers"]) -> Spread:
    """Mean and deviation of each map's channels."""
    spread = {}
    for name, values in maps_of(flat).items():
        array = np.asarray(values).reshape(-1, values.shape[-1])
        # Channels that never say anything are not made loud.
        spread[name] = array.mean(0), array.std(0) + 1e-3 * array.std() + 1e-6
    return spread


def levelled(maps: Maps, spread: Spread) -> Maps:
    """Every channel with mean 0 and deviation 1."""
    result = {}
    for name, x in maps.items():
        mean, deviation = (part[None, None, None] for part in spread[name])
        result[name] = (x - mean) / deviation
    return result


def unlevelled(parameters: dict, spread: Spread) -> dict:
    """Parameters that do to maps as they come what these do to levelled ones."""
    result = dict(parameters)
    for name, (mean, deviation) in spread.items():
        kernel = parameters[name]["kernel"] / deviation[:, None]
        result[name] = {"kernel": kernel, "bias": parameters[name]["bias"] - mean @ kernel}
    return result


def strayed(key: Key[Array, ""], maps: Maps) -> Maps:
    """Every channel of every picture a little louder or fainter, and shifted; some maps of it hidden."""
    result = {}
    for number, (name, x) in enumerate(sorted(maps.items())):
        move, hide = jax.random.split(jax.random.fold_in(key, number))
        gain, shift = STRAY * jax.random.normal(move, (2, len(x), 1, 1, x.shape[-1]))
        shown = jax.random.bernoulli(hide, 1 - HIDDEN_MAPS, (len(x), 1, 1, 1)).astype(x.dtype)
        result[name] = (x * (1 + gain) + shift) * shown / (1 - HIDDEN_MAPS)
    return result


def mean_face(points: Float[np.ndarray, "faces points 3"]) -> Float[np.ndarray, "points 3"]:
    """The mean of all faces laid over it (generalised Procrustes analysis, Gower 1975).

    Centred, of size 1 (the root of its mean square), and turned as the first face is.
    """
    mean = points[0].astype(np.float64)
    for _ in range(PROCRUSTES_ROUNDS):
        mean = mean - mean.mean(0)
        mean = mean / np.sqrt((mean**2).sum(1).mean())
        mean = np.mean([align_similarity(face, mean).apply(face) for face in points.astype(np.float64)], axis=0)
    mean = mean - mean.mean(0)
    return (mean / np.sqrt((mean**2).sum(1).mean())).astype(np.float32)


def grown(parameters: dict, start: dict, spread: Spread) -> dict:
    """Parameters that begin as the reader `start`, which takes maps as they come and may know fewer of them, does.

    parameters: any of a whole reader. What it sees in maps that `start` does not know counts nothing at first.
    """
    result, known = dict(parameters), [name for name in sorted(MAPS) if name in start]
    for name in known:
        mean, deviation = spread[name]
        kernel = start[name]["kernel"]
        result[name] = {"kernel": kernel * deviation[:, None], "bias": start[name]["bias"] + mean @ kernel}
    result |= {name: start[name] for name in ("affect", "units", "mean") if name in start}
    kernel, hidden, taken = start["hidden"]["kernel"], [], 0
    inputs = {"units": len(ARKIT_UNITS), "mean": 3 * POINTS}
    inputs |= {name: MAPS[name][0] ** 2 * NARROW[name] for name in sorted(MAPS)}
    for name, rows in inputs.items():
        knows = name in start
        hidden.append(kernel[taken : taken + rows] if knows else np.zeros((rows, kernel.shape[1])))
        taken += rows if knows else 0
    result["hidden"] = {"kernel": np.concatenate(hidden).astype(np.float32), "bias": start["hidden"]["bias"]}
    # Of a reader without a second layer nothing is added at first.
    result["deeper"] = start.get("deeper", jax.tree.map(jnp.zeros_like, result["deeper"]))
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), result)
