"""The 3D side of open faces alone: what EMO-MLP learns from, ten thousand faces in seconds, none of them drawn."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from data_pipelines.open_faces.recipe import recipe
from emoca_jax.emotion.units import MIRRORED
from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular
from emoca_jax.flame.head import FaceHead
from emoca_jax.products import precise_matmul
from emoca_jax.safe_files.array_files import npz_of_bytes

TEACHING, CHOOSING, JUDGING = slice(300), slice(300, 400), slice(400, None)
"""Faces of a file of fits (benchmarks/emotion_from_fits.py) that teach how units are told, choose how sure a network
that has learned from that may be, and judge it."""
TELLERS = ("fitted", "read")
"""Who told units of drawn faces: `emoca reconstruct`, and the reader of landmarks."""
RIDGE = 6.0
"""Faces of rest that hold the law of 600 (300 and their mirror images) back: 3 to 12 do as well."""


class Misfit(NamedTuple):
    """How units might be changed by any reader, who takes strength from units, loses some and finds others."""

    weakest: float = 0.3
    strongest: float = 1.15
    """Between which shares of its strength a unit keeps at random."""
    lost: float = 0.12
    """Share of the units that come out as nothing."""
    stray: float = 0.2
    """Share of the units that something is added to."""
    stray_strength: float = 0.12
    """Mean of what is added (exponentially distributed)."""


def as_fitted(key: Key[Array, ""], codes: Float[Array, "batch units"], misfit: Misfit) -> Float[Array, "batch units"]:
    """Units as a fit might have found them, at random."""
    keeps, loses, adds, size = jax.random.split(key, 4)
    share = jax.random.uniform(keeps, codes.shape, minval=misfit.weakest, maxval=misfit.strongest)
    kept = jnp.where(jax.random.bernoulli(loses, misfit.lost, codes.shape), 0.0, share)
    found = misfit.stray_strength * jax.random.exponential(size, codes.shape)
    stray = jnp.where(jax.random.bernoulli(adds, misfit.stray, codes.shape), found, 0.0)
    return jnp.clip(kept * codes + stray, 0.0, 1.0)


class Law(NamedTuple):
    """How one teller answers units that are shown: a linear law, and by what its answers depart from that."""

    shown: Float[Array, "units"]
    told: Float[Array, "units"]
    """Means of both."""
    slopes: Float[Array, "units units"]
    """From what is shown to what is told of every unit: tellers take one unit for another."""
    errors: Float[Array, "faces units"]


def law_of(
    shown: Float[np.ndarray, "faces units"], told: Float[np.ndarray, "faces units"], mirrored: Int[np.ndarray, "units"]
) -> Law:
    """The law that faces and their mirror images follow, by least squares with `RIDGE`."""
    shown, told = (np.concatenate([of, of[:, mirrored]]).astype(np.float64) for of in (shown, told))
    means = shown.mean(0), told.mean(0)
    inputs, answers = shown - means[0], told - means[1]
    slopes = np.linalg.solve(inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1]), inputs.T @ answers)
    return Law(*(jnp.asarray(part, jnp.float32) for part in (*means, slopes, answers - inputs @ slopes)))


def read_fits(path: str | Path) -> dict[str, np.ndarray]:
    """A file of fits: `true` and, of all `TELLERS`, told units [faces, 52] in the order of `ARKIT_UNITS`, `label`
    [faces], `affect` [faces, 2] and `photo` [faces, classes].

    Errors: InputError where it is none, or holds too few faces for some to judge.
    """
    how = "make it by benchmarks/emotion_from_fits.py"
    kept = npz_of_bytes(read_regular(Path(path)), str(path))
    if lacking := {"true", *TELLERS, "label", "affect", "photo"} - set(kept):
        raise InputError(f"{path} lacks {', '.join(sorted(lacking))}: {how}.")
    arrays = {name: kept[name] for name in kept if name != "tried"}
    faces = len(arrays["label"])
    for name in ("true", *TELLERS):
        if arrays[name].shape != (faces, len(MIRRORED)) or not np.isfinite(arrays[name]).all():
            expected = f"finite numbers [{faces}, {len(MIRRORED)}]"
            raise InputError(f"{path}: {name} is {list(arrays[name].shape)}; expected {expected}: {how}.")
    if faces <= JUDGING.start:
        raise InputError(f"{path} holds {faces} faces; {JUDGING.start} teach and choose, so ask for more with --faces.")
    return arrays


def laws_of_file(path: str | Path) -> tuple[Law, ...]:
    """The laws of `TELLERS` from the teaching faces of a file of fits. Errors: as `read_fits`."""
    fits = read_fits(path)
    return tuple(law_of(fits["true"][TEACHING], fits[name][TEACHING], MIRRORED) for name in TELLERS)


def as_told(
    key: Key[Array, ""], codes: Float[Array, "batch units"], misfit: Misfit, laws: tuple[Law, ...],
    shares: tuple[float, ...],
) -> Float[Array, "batch units"]:  # fmt: skip
    """Units as somebody might have told them, at random: by a law each for these shares of faces, else by `misfit`."""
    choice, anyone, *others = jax.random.split(key, 2 + len(laws))
    who = jax.random.uniform(choice, (codes.shape[0], 1))
    told, before = as_fitted(anyone, codes, misfit), 0.0
    for law, share, own in zip(laws, shares, others, strict=True):
        error = jax.random.choice(own, law.errors, (codes.shape[0],))
        answer = jnp.clip(law.told[None] + precise_matmul(codes - law.shown[None], law.slopes) + error, 0.0, 1.0)
        told = jnp.where((who >= before) & (who < before + share), answer, told)
        before += share
    return told


def coded_faces(head: FaceHead, seed: int, count: int) -> dict[str, np.ndarray]:
    """Faces 0 to `count` of the dataset `seed`: `codes` [count, units] (the head's expression code), `expression`,
    `valence` and `arousal` [count]."""
    tones = () if head.albedo is None else tuple(head.albedo.names)
    shapes = head.shape_dirs.shape[-1]
    shown = [recipe(head.expression_names, shapes, tones, seed, index).shown for index in range(count)]
    return {
        "codes": np.stack([face.units for face in shown]).astype(np.float32),
        "expression": np.array([face.label for face in shown], np.int32),
        "valence": np.array([face.valence for face in shown], np.float32),
        "arousal": np.array([face.arousal for face in shown], np.float32),
    }
