"""Trains the network that reads expression units off landmarks, emoca_jax/assets/unit_reader.npz:

    python scripts/train_unit_reader.py --teacher face_landmarker.task --data_dir datasets [--seed 0]

It learns from landmarks alone: of open faces as the head has them, of drawn open faces as the detector finds them
(python -m data_pipelines.found, see docs/training.md), and of mixtures of both, no photo among them. What is asked of
it are the true units and, half, what MediaPipe's blendshape network (Apache-2.0; not part of this project) says of the
same landmarks: of mixtures, whose true units nobody knows, that alone. The same seed gives the same bytes on one
machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

# data_pipelines, the package and the other scripts are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from rich.progress import track

from data_pipelines.found import open_found
from data_pipelines.open_faces.landmark_sets import projected_faces
from emoca_jax import flame
from emoca_jax.emotion.landmark_units import ASSET, mirror_points
from emoca_jax.emotion.units import ARKIT_UNITS, MIRRORED
from emoca_jax.errors import InputError
from emoca_jax.mediapipe_points import EXPRESSION_POINTS
from emoca_jax.nets.unit_reader import UnitReader, laid_over
from emoca_jax.nets.weights import load_weights, save_weights
from scripts.unit_teacher import teach, teacher

ASSETS = Path(__file__).parents[1] / "emoca_jax" / "assets"
BLIND = ("cheekPuff", "cheekSquint", "jawForward", "jawLeft", "jawRight", "mouthClose", "noseSneer", "tongueOut")
"""Units, by the beginnings of their names, of which the teacher says nothing: the truth alone counts."""
FAINT, FAINT_SHARE = ("eyeWide",), 0.6
"""Units of which the teacher says no more than .3 at full strength, and the truth's share of their target."""
TRUTH_SHARE = 0.3
"""Of the others' target, where the truth is known. With .5 drawn faces are read better and photos worse: real people's
brows, lids and lips lie elsewhere than the open head's."""
PEOPLE, MIXED = 7_000, 50_000
STRAY = 0.7
"""Up to this share of what the detector got wrong in some other face is added to landmarks that are projected."""
FAR, LOWER_SHARE, SQUEEZE = 0.6, 0.4, 0.05
"""Mixtures: most of the difference between two other faces that is added; share that has another face's lower half;
deviation of the logarithm of width over height."""
JITTER = 0.004
"""Deviation of each point while it learns, in parts of the face's size: what other crops of a photo change."""
BATCH, STEPS, RATE, DECAY = 256, 12_000, 2e-3, 1e-4
FLOOR = 0.1
"""Units' square errors are weighted by 1 / (deviation + this)^2, so that rare ones are learned as well."""


class Sets(NamedTuple):
    """Landmarks laid over their mean, and what is to be read off them."""

    points: Float[np.ndarray, "faces 146 2"]
    true: Float[np.ndarray, "faces 52"]
    known: Float[np.ndarray, "faces"]
    """1 where `true` is known, else 0."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, or 2 where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, help="face_landmarker.task")
    parser.add_argument("--data_dir", type=Path, nargs="+", required=True, help="open_faces with found_train.npz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sets", type=Path, help="keep the sets and what the teacher says in this file, or take them")
    parser.add_argument("--output", type=Path, default=ASSETS / f"{ASSET}.npz")
    asked = parser.parse_args(arguments)
    try:
        make(asked)
    except InputError as error:
        print(f"train_unit_reader: {error}", file=sys.stderr)
        return 2
    return 0


def make(asked: argparse.Namespace) -> None:
    """Sets, then the network, then the files. Errors: InputError where the teacher or drawn faces are missing."""
    if asked.sets is not None and asked.sets.is_file():
        kept = dict(np.load(asked.sets))
    else:
        network = teacher(asked.teacher)
        mean, sets = landmark_sets(asked.data_dir, np.random.default_rng(asked.seed))
        kept = {"mean": mean, **sets._asdict(), "taught": teach(network, sets.points)}
        if asked.sets is not None:
            arrays: dict[str, Any] = kept
            np.savez(asked.sets, **arrays)
    sets, told = Sets(*(kept[name] for name in Sets._fields)), targets(kept)
    parameters = trained(kept["mean"], sets.points, told, asked.seed)
    save_weights(asked.output, {"params": parameters})
    describe(asked.output, len(told), asked.seed)


def landmark_sets(folders: list[Path], random: np.random.Generator) -> tuple[np.ndarray, Sets]:
    """The symmetric mean face, and all sets over it."""
    found, drawn_true, drawn_units = drawn_faces(folders)
    head = flame.load_head("open")
    projected = projected_faces(head, int(random.integers(2**31)), PEOPLE)
    mean = mean_face(np.concatenate([found, projected.points[:, list(EXPRESSION_POINTS)]]))
    over = jax.jit(laid_over)
    found, drawn_true, points = (
        np.asarray(over(np.asarray(array, np.float32), mean))
        for array in (found, drawn_true, projected.points[:, list(EXPRESSION_POINTS)])
    )
    wrong = (found - drawn_true)[random.integers(len(found), size=len(points))]
    points = points + random.uniform(0, STRAY, (len(points), 1, 1)) * wrong
    whole = np.concatenate([found, points])
    mixed = mixtures(whole, mean, random)
    units = np.concatenate([drawn_units, projected.units, np.zeros((len(mixed), len(ARKIT_UNITS)))])
    known = np.concatenate([np.ones(len(whole)), np.zeros(len(mixed))])
    together = np.asarray(over(np.concatenate([whole, mixed]).astype(np.float32), mean))
    return mean, Sets(together, units.astype(np.float32), known.astype(np.float32))


def drawn_faces(folders: list[Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`EXPRESSION_POINTS` of packaged open faces as found and as they are, [*, 146, 2], and units."""
    found, true, units = [], [], []
    for folder in folders:
        faces = open_found("open_faces", "train", data_dir=folder)
        for index in track(range(len(faces)), "drawn faces"):
            sample = faces[index]
            for rows, name in ((found, "found"), (true, "points")):
                rows.append(np.asarray(sample[name])[list(EXPRESSION_POINTS), :2])
            units.append(sample["units"])
    return np.stack(found), np.stack(true), np.stack(units)


def mean_face(points: np.ndarray) -> np.ndarray:
    """Of faces laid over each other in turn, symmetric, of size 1 (root of the sum of squares), as half floats tell it.

    Which point is whose mirror image is the first mean's affair: it is nearly symmetric already."""
    over = jax.jit(laid_over)
    centred = points - points.mean(1, keepdims=True)
    mean = (centred / np.linalg.norm(centred, axis=(1, 2), keepdims=True)).mean(0)
    for _ in range(4):
        partner = mirror_points(mean)
        mean = 0.5 * (mean + mean[partner] * [-1.0, 1.0])
        mean = (mean - mean.mean(0)) / np.linalg.norm(mean)
        mean = np.asarray(over(points.astype(np.float32), mean.astype(np.float32))).mean(0)
    partner = mirror_points(mean)
    assert np.array_equal(partner[partner], np.arange(len(mean)))
    mean = 0.5 * (mean + mean[partner] * [-1.0, 1.0])
    return ((mean - mean.mean(0)) / np.linalg.norm(mean)).astype(np.float16).astype(np.float32)


def mixtures(whole: np.ndarray, mean: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Faces with something of two others, of other proportions, some with another's mouth."""
    first, second, third, fourth = (whole[random.integers(len(whole), size=MIXED)] for _ in range(4))
    lower = 1 / (1 + np.exp(-(mean[:, 1] - 0.02) / 0.01))[None, :, None]
    swapped = (random.random((MIXED, 1, 1)) < LOWER_SHARE) * lower
    points = first + swapped * (fourth - first)
    points = points + random.uniform(0, FAR, (MIXED, 1, 1)) * (second - third)
    squeeze = np.exp(SQUEEZE * random.standard_normal((MIXED, 1)))
    return points * np.stack([squeeze, 1 / squeeze], axis=-1)


def targets(kept: dict[str, np.ndarray]) -> np.ndarray:
    """[faces, 2, 52]: what is asked, and how much each of it counts."""
    blind, faint = (np.array([name.startswith(stems) for name in ARKIT_UNITS]) for stems in (BLIND, FAINT))
    share = kept["known"][:, None] * np.select([blind, faint], [1.0, FAINT_SHARE], TRUTH_SHARE)[None]
    # Lids and lips of people at rest look a little squinted and pursed to the teacher: that is nobody's expression.
    still = (kept["known"] > 0) & (kept["true"].max(axis=1) == 0)
    rest = np.median(kept["taught"][still], axis=0)
    rest = 0.5 * (rest + rest[MIRRORED])
    taught = np.maximum(kept["taught"] - rest, 0) / (1 - rest)
    asked = share * kept["true"] + (1 - share) * taught
    counts = np.where(blind[None], kept["known"][:, None], 1.0)
    deviation = np.sqrt((counts * (asked - (counts * asked).sum(0) / counts.sum(0)) ** 2).sum(0) / counts.sum(0))
    return np.stack([asked, counts / (deviation + FLOOR) ** 2], axis=1).astype(np.float32)


def trained(mean: np.ndarray, points: np.ndarray, told: np.ndarray, seed: int) -> dict:
    """Parameters after `STEPS`, averaged over the last of them."""
    network, partner = UnitReader(), mirror_points(mean)
    faces, asked_of = jnp.asarray(points), jnp.asarray(told)
    start, draw = jax.random.split(jax.random.key(seed))
    initial: Any = network.init(start, faces[:1])
    parameters = {**initial["params"], "mean": jnp.asarray(mean)}
    optimiser = optax.adamw(optax.warmup_cosine_decay_schedule(0.0, RATE, 200, STEPS), weight_decay=DECAY)

    def loss(free: dict, key: Array) -> Array:
        pick, flip, move = jax.random.split(key, 3)
        rows = jax.random.randint(pick, (BATCH,), 0, len(faces))
        seen, (asked, weight) = faces[rows], (asked_of[rows, 0], asked_of[rows, 1])
        seen = seen + JITTER * jax.random.normal(move, seen.shape) / np.sqrt(2)
        flipped = jax.random.bernoulli(flip, 0.5, (BATCH,))
        seen = jnp.where(flipped[:, None, None], seen[:, partner] * jnp.array([-1.0, 1.0])[None, None], seen)
        asked, weight = (
            jnp.where(flipped[:, None], array[:, jnp.asarray(MIRRORED)], array) for array in (asked, weight)
        )
        read = network.apply({"params": {**free, "mean": jnp.asarray(mean)}}, seen)
        assert isinstance(read, jax.Array)
        return jnp.mean(weight * (read - asked) ** 2)

    @jax.jit
    def hundred(state: tuple, key: Array) -> tuple[tuple, Array]:
        def step(state: tuple, key: Array) -> tuple[tuple, Array]:
            free, moments, averaged = state
            value, gradient = jax.value_and_grad(loss)(free, key)
            update, moments = optimiser.update(gradient, moments, free)
            free: Any = optax.apply_updates(free, update)
            averaged = jax.tree.map(lambda old, new: 0.999 * old + 0.001 * new, averaged, free)
            return (free, moments, averaged), value

        return jax.lax.scan(step, state, jax.random.split(key, 100))

    free = {name: value for name, value in parameters.items() if name != "mean"}
    state = (free, optimiser.init(free), free)
    for number in range(STEPS // 100):
        state, values = hundred(state, jax.random.fold_in(draw, number))
        if number % 10 == 9:
            print(f"step {100 * (number + 1)}: {float(values.mean()):.4f}", flush=True)
    return {**jax.device_get(state[2]), "mean": mean}


def describe(path: Path, faces: int, seed: int) -> None:
    load_weights(path)
    description = {
        "format": 1,
        "what": "half-float weights of emoca_jax.emotion.landmark_units: 146 landmarks to 52 expression units",
        "sources": {
            "training": f"scripts/train_unit_reader.py on {faces} sets of landmarks, seed {seed}, nobody's photos",
            "teacher": "answers of MediaPipe's blendshape network (Google, May 2023, Apache-2.0), no weights",
        },
        "licence": "Apache-2.0",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(description, indent=2) + "\n")
    print(json.dumps(description, indent=2))


if __name__ == "__main__":
    sys.exit(main())
