"""Samples to batches: shuffled, sharded by process, resumable at any batch, the same for the same seed.

`order` says which samples a batch has; grain keeps the place in the stream (its state is a few bytes) and reads ahead:
a whole batch is read, decoded and cut by one of its threads, so that Python's lock is passed on once a batch and not
once a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grain
import jax
import numpy as np
from jaxtyping import Int

from data_pipelines.order import Share, classes_in_turn, every_sample, groups_side_by_side
from data_pipelines.pixels import cut_into
from data_pipelines.sources import Source
from emoca_jax.errors import InputError

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Batching:
    """How samples become batches."""

    size: int
    """Samples a batch, in each process."""
    seed: int = 0
    side: int = 256
    """Pixels of the squares: more than the network's, so that augmentation can turn and zoom."""
    margin: float | None = 1.6
    """Of the square around the face: the official crop's 1.25, zoomed out, moved and turned. None for the whole
    picture, or the largest square in its middle: drawn faces, whose pictures are little more than the face."""
    balance: str | None = None
    """Column whose values come equally often: "expression"."""
    group: str | None = None
    """Column whose values are drawn, `per_group` different samples of each, side by side: "identity"."""
    per_group: int = 1
    epochs: int | None = None
    """None for ever; of samples, groups, or the rarest balanced class, as the case may be."""
    processes: int | None = None
    """How many share the samples, and which of them this is; None asks jax."""
    process: int | None = None
    threads: int = 4
    ahead: int = 4
    """Batches kept ready."""


def batches(source: Source, batching: Batching) -> grain.IterDataset:
    """The batches of this process, as a grain dataset: `iter(...)` has get_state and set_state, and close.

    A batch has `image` uint8 [size, side, side, 3], `place` [size, 3] (see `pixels.square`), every number, label and
    array that all of its samples have, and `index`, their numbers; landmarks and boxes are moved into the square. An
    incomplete last batch is dropped. Errors: InputError where the batch does not fit the source or its columns.
    """
    share = _share(source, batching)
    read = grain.MapDataset.range(len(share)).map(_reader(source, share, batching.side, batching.margin))
    return read.to_iter_dataset(grain.ReadOptions(num_threads=batching.threads, prefetch_buffer_size=batching.ahead))


def _share(source: Source, batching: Batching) -> Share:
    """This process's numbers of samples, batch by batch."""
    for name, value, least in (
        ("size", batching.size, 1),
        ("per_group", batching.per_group, 1),
        ("seed", batching.seed, 0),
    ):
        if value < least:
            raise InputError(f"{name} is {value}; give {least} or more")
    if batching.size % batching.per_group:
        raise InputError(f"a batch of {batching.size} is no whole number of groups of {batching.per_group}")
    if batching.balance and batching.group:
        raise InputError("balance and group exclude each other; give one of them")
    seed, epochs = batching.seed, batching.epochs
    if batching.balance:
        stream = classes_in_turn(_kinds(source, batching.balance), seed, epochs=epochs)
    elif batching.group:
        groups = [kind for kind in _kinds(source, batching.group) if len(kind) >= batching.per_group]
        if not groups:
            raise InputError(f"no {batching.group} has {batching.per_group} samples; give a smaller per_group")
        stream = groups_side_by_side(groups, batching.per_group, seed, epochs=epochs)
    else:
        stream = every_sample(len(source), seed, epochs=epochs)
    processes = jax.process_count() if batching.processes is None else batching.processes
    process = jax.process_index() if batching.process is None else batching.process
    share = Share(stream, batching.size, process, processes)
    if not len(share) or not len(source):
        raise InputError(f"{len(source)} samples are too few for a batch of {batching.size}; give a smaller size")
    return share


def _kinds(source: Source, column: str) -> list[Int[np.ndarray, "_"]]:
    """Sample numbers by the value of a column."""
    if column not in source.columns:
        raise InputError(f"the source has no column {column}; choose {', '.join(source.columns) or 'none'}")
    values = np.asarray(source.columns[column])
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)


def _reader(source: Source, share: Share, side: int, margin: float | None) -> Callable[[int], Batch]:
    def read(number: int) -> Batch:
        indices = share[int(number)]
        # One by one: asked for several at once, array_record starts threads that cost as much again as reading.
        samples = [source[i] for i in indices.tolist()]
        images = np.empty((len(samples), side, side, 3), np.uint8)
        places = np.empty((len(samples), 3), np.float32)
        for i, sample in enumerate(samples):
            face = None if margin is None else sample.get("face")
            places[i] = cut_into(images[i], sample["image"], face, margin=margin or 1.0)
        batch = {"image": images, "place": places, "index": indices}
        for name in samples[0]:
            values: list[Any] = [sample.get(name) for sample in samples]
            told = not any(value is None or isinstance(value, str | bytes) for value in values)
            if told and name not in ("image", "face"):
                batch[name] = np.stack(values)
        for name in ("landmarks", "box"):
            if name in batch:
                batch[name] = _moved(batch[name], places)
        return batch

    return read


def _moved(positions: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Positions in pictures as positions in their squares; whole numbers are pixel centres in both."""
    points = positions.reshape(len(positions), -1, 2)
    points = (points + 0.5 - places[:, None, :2]) * places[:, None, 2:] - 0.5
    return points.reshape(positions.shape).astype(np.float32)
