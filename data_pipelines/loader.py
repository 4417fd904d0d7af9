"""Samples to batches: shuffled, sharded by process, resumable at any batch, the same for the same seed.

grain draws numbers of samples and keeps the place in the stream (its state is a few bytes); a whole batch is read,
decoded and cut by one of its threads, so that Python's lock is passed on once a batch and not once a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grain
import jax
import numpy as np
from jaxtyping import Int

from data_pipelines.pixels import decoded, square
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
    array of the samples, and `index`, their numbers; landmarks and boxes are moved into the square. An incomplete last
    batch is dropped. Errors: InputError where the batch does not fit the source or its columns.
    """
    numbers = _numbers(source, batching)
    batched = numbers.batch(batching.size // batching.per_group, drop_remainder=True)
    read = batched.map(_reader(source, batching))
    return read.to_iter_dataset(grain.ReadOptions(num_threads=batching.threads, prefetch_buffer_size=batching.ahead))


def _numbers(source: Source, batching: Batching) -> grain.MapDataset:
    """This process's stream of sample numbers, or of `per_group` numbers at a time."""
    if batching.size % batching.per_group:
        raise InputError(f"a batch of {batching.size} is no whole number of groups of {batching.per_group}")
    if batching.balance and batching.group:
        raise InputError("balance and group exclude each other; give one of them")
    if batching.balance:
        kinds = _kinds(source, batching.balance)
        # Every class on its own stream, in turn: none of its samples comes twice before all have come.
        streams = [
            _endless(grain.MapDataset.source(kind.tolist()).seed(batching.seed + i).shuffle(), batching)
            for i, kind in enumerate(kinds)
        ]
        numbers = grain.MapDataset.mix(streams, [1 / len(streams)] * len(streams))
    elif batching.group:
        groups = [kind for kind in _kinds(source, batching.group) if len(kind) >= batching.per_group]
        if not groups:
            raise InputError(f"no {batching.group} has {batching.per_group} samples; give a smaller per_group")
        draw = _Draw(batching.per_group)
        numbers = _endless(grain.MapDataset.source(groups).seed(batching.seed).shuffle(), batching).random_map(draw)
    else:
        everything = grain.MapDataset.range(len(source)).seed(batching.seed).shuffle()
        numbers = _endless(everything, batching)
    processes = jax.process_count() if batching.processes is None else batching.processes
    process = jax.process_index() if batching.process is None else batching.process
    # Every process the same number, so that none waits for ever for the others.
    numbers = numbers[: len(numbers) // processes * processes][process::processes]
    if len(numbers) * batching.per_group < batching.size:
        raise InputError(f"{len(source)} samples are too few for a batch of {batching.size}; give a smaller size")
    return numbers


def _endless(numbers: grain.MapDataset, batching: Batching) -> grain.MapDataset:
    """Epoch after epoch, each shuffled anew."""
    return numbers.repeat(batching.epochs)


def _kinds(source: Source, column: str) -> list[Int[np.ndarray, "_"]]:
    """Sample numbers by the value of a column."""
    if column not in source.columns:
        raise InputError(f"the source has no column {column}; choose {', '.join(source.columns) or 'none'}")
    values = np.asarray(source.columns[column])
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)


@dataclass(frozen=True)
class _Draw(grain.transforms.RandomMap):
    """Some different samples of one group."""

    count: int

    def random_map(self, element: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.choice(element, self.count, replace=False)


def _reader(source: Source, batching: Batching) -> Callable[[Any], Batch]:
    def read(indices: Any) -> Batch:
        numbers = np.ravel(np.asarray(indices))
        many = getattr(source, "__getitems__", None)
        listed = numbers.tolist()
        samples = many(listed) if many is not None else [source[i] for i in listed]
        images = np.empty((len(samples), batching.side, batching.side, 3), np.uint8)
        places = np.empty((len(samples), 3), np.float32)
        for i, sample in enumerate(samples):
            face = None if batching.margin is None else sample.get("face")
            pixels = decoded(sample["image"])
            images[i], places[i] = square(pixels, face, margin=batching.margin or 1.0, side=batching.side)
        batch = {"image": images, "place": places, "index": numbers}
        for name, value in samples[0].items():
            if name not in ("image", "face") and not isinstance(value, str | bytes):
                batch[name] = np.stack([sample[name] for sample in samples])
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
