"""Trains the network that reads a face's picture through networks that stay as they are, assets/picture_reader.npz:

    python scripts/train_picture_reader.py --data_dir datasets more --sets runs/picture_sets [--seed 0]
    python scripts/train_picture_reader.py --data_dir others --judges datasets --sets runs/others --start READER.npz

It learns from drawn open faces alone (python -m data_pipelines.build open_faces, see docs/emotion.md). The frozen
networks look at each of them `TURNS` times, changed at random; these looks are kept in the folder of `--sets`, 1.1 GB
for every turn of 12,000 faces, and taken from there by the next run with the same seed and faces. The same looks and
seed give the same bytes on one machine. Several folders of drawn faces are learned from together, and a reader that is
there already may be taught on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from data_pipelines.augment import Amounts
from data_pipelines.frozen_levels import STRAY_POINTS, grown, levelled, mean_face, spread_of, strayed, unlevelled
from data_pipelines.frozen_sets import Eyes, FrozenSets, frozen_sets, maps_of
from data_pipelines.kept_looks import gathered, load_sets, origin_of, save_sets
from data_pipelines.sources import Source, open_records
from emoca_jax.capture.detect import load_networks
from emoca_jax.emotion.class_affect import CLASS_AFFECT
from emoca_jax.emotion.landmark_units import load_unit_reader
from emoca_jax.emotion.pictures import ASSET
from emoca_jax.emotion.units import MIRRORED
from emoca_jax.errors import InputError
from emoca_jax.evaluation.emotion import Labels, Told, measures, temperature
from emoca_jax.files.whole import open_folder
from emoca_jax.losses.affect import concordance
from emoca_jax.nets.emotion.affect import AffectRead
from emoca_jax.nets.emotion.open import load_expression_networks
from emoca_jax.nets.emotion.picture_reader import HIDDEN, PictureReader
from emoca_jax.nets.weights import Parameters, load_weights, save_weights

ASSETS = Path(__file__).parents[1] / "emoca_jax" / "assets"
TURNS, JUDGED = 1, 9
"""Looks at every face that trains, numbered from 0, and the number of those that judge, which no turn may have."""
BATCH, EPOCHS, RATE, WARM_UP, DECAY = 256, 14, 1e-3, 100, 0.05
GOING_ON = 0.4
"""Of the rate, where a reader is taught on: it is to keep what it knows."""
AVERAGED = 0.01
"""Share of a step's parameters in their moving average, which ships."""
SMOOTH = 0.05
"""Share of the target that is spread over all classes."""
FLOOR = 0.1
"""Units' square errors are weighted by 1 / (deviation + this)^2, so that rare ones are learned as well."""
SPREAD_OF = 7
"""Every so many looks tell the channels' mean and deviation."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, 130 where it was interrupted, or 2 where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, nargs="+", required=True, metavar="DIR", help="open_faces with train")
    parser.add_argument("--judges", type=Path, metavar="DIR", help="with validation (default: the first that trains)")
    parser.add_argument("--sets", type=Path, required=True, help="keep the looks in this folder, or take them")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"looks at every face (default: {TURNS})")
    parser.add_argument("--start", type=Path, help="a reader (.npz) that is taught on")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ASSETS / f"{ASSET}.npz")
    asked = parser.parse_args(arguments)
    try:
        make(asked)
    except InputError as error:
        print(f"train_picture_reader: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train_picture_reader: interrupted; the same command takes the turns that are whole", file=sys.stderr)
        return 130
    return 0


def make(asked: argparse.Namespace) -> None:
    """Looks, then the network, then the files.

    Errors: InputError where drawn faces are missing or too few, kept looks are others, or a number is out of range.
    """
    for name, least, most in (("turns", 1, JUDGED), ("epochs", 1, None), ("seed", 0, 2**31 - 1)):
        value = getattr(asked, name)
        if value < least or (most is not None and value > most):
            raise InputError(f"--{name} is {value}; give {least} {'or more' if most is None else f'to {most}'}")
    sources = [open_records("open_faces", "train", data_dir=folder) for folder in asked.data_dir]
    others = open_records("open_faces", "validation", data_dir=asked.judges or asked.data_dir[0])
    faces = sum(map(len, sources))
    if faces * asked.turns < BATCH:
        raise InputError(
            f"{asked.data_dir[0]}: {asked.turns} looks at each of {faces} faces that train are fewer than one batch, "
            f"{BATCH}; package more faces, or give more --turns"
        )
    start = None if asked.start is None else load_reader(asked.start)
    folder = open_folder(asked.sets)
    turns = [*turns_at(sources, asked.turns), ("judges", JUDGED, others)]
    # What is kept is taken first: should it be refused, then before the eyes look for hours.
    origins = [origin_of(source, seed=asked.seed, turn=turn) for _, turn, source in turns]
    looks = [load_sets(folder, name, origin) for (name, *_), origin in zip(turns, origins, strict=True)]
    whole = []
    for (name, turn, source), origin, kept in zip(turns, origins, looks, strict=True):
        whole.append(looked(source, asked.seed, turn) if kept is None else kept)
        if kept is None:
            save_sets(folder, name, whole[-1], origin)
    *sets, judges = whole
    parameters = trained(sets, asked.seed, asked.epochs, start)
    heat = heat_of(parameters, judges)
    parameters["affect"] = cooled(parameters["affect"], heat)
    save_weights(asked.output, {"params": parameters})
    told = judged(load_weights(asked.output), judges)
    describe(asked, faces, heat, told)


def load_reader(path: Path) -> dict:
    """Parameters of a reader that this script made. Errors: InputError where the file is none."""
    parameters = jax.device_get(load_weights(path)["params"])
    if not {"hidden", "affect", "units"} <= parameters.keys():
        raise InputError(f"{path}: holds no picture reader; give a file that this script has left")
    width = len(parameters["affect"]["kernel"])
    if width != HIDDEN:
        raise InputError(
            f"{path}: this reader is {width} wide and {HIDDEN} are trained; give a later one, or no --start"
        )
    return parameters


def turns_at(sources: Sequence[Source], turns: int) -> list[tuple[str, int, Source]]:
    """Name of the kept looks, number of the turn and faces of every turn at every source, the first source's first."""
    return [
        (f"turn{turn}" if number == 0 else f"more{number}_turn{turn}", turn, source)
        for number, source in enumerate(sources)
        for turn in range(turns)
    ]


def looked(source: Source, seed: int, turn: int) -> FrozenSets:
    """The looks of one turn at the faces that train, or those that judge."""
    eyes = Eyes(load_expression_networks(), load_networks()["mesh"], load_unit_reader())
    key = jax.random.fold_in(jax.random.key(seed), turn)
    return frozen_sets(source, eyes, key, amounts=None if turn == JUDGED else Amounts())


def trained(looks: list[FrozenSets], seed: int, epochs: int, start: dict | None = None) -> dict:
    """Parameters for maps as they come, averaged over the last steps; `start`, where given, is taught on."""
    network, key = PictureReader(), jax.random.key(seed)
    spread = spread_of(looks[0].maps[::SPREAD_OF])
    # A reader that is taught on keeps the mean face that it has learned with.
    mean = mean_face(looks[0].points[::SPREAD_OF]) if start is None or "mean" not in start else start["mean"]
    read, points, units, expression, affect = (np.concatenate(parts) for parts in list(zip(*looks, strict=True))[1:])
    weight = 1 / (units.std(0) + FLOOR) ** 2
    rows = len(read)
    steps = epochs * (rows // BATCH)
    rate = RATE if start is None else RATE * GOING_ON
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, min(WARM_UP, steps // 10), steps)
    optimiser = optax.adamw(schedule, weight_decay=DECAY)

    def loss(
        parameters: dict, key: Key[Array, ""], flat: Array, read: Array, points: Array, units: Array, *truth: Array
    ) -> Array:
        stray, move, drop = jax.random.split(key, 3)
        maps = strayed(stray, levelled(maps_of(flat), spread))
        points = points + STRAY_POINTS * jax.random.normal(move, points.shape)
        weights = {"params": {**parameters, "mean": mean}}
        told: Any = network.apply(weights, maps, read, points, train=True, rngs={"dropout": drop})
        return emotion_loss(told, *truth) + units_loss(told, units, jnp.asarray(weight))

    @jax.jit
    def step(state: tuple, key: Array, batch: tuple) -> tuple[tuple, Array]:
        parameters, moments, averaged = state
        value, gradient = jax.value_and_grad(loss)(parameters, key, *batch)
        update, moments = optimiser.update(gradient, moments, parameters)
        parameters: Any = optax.apply_updates(parameters, update)
        averaged = jax.tree.map(lambda old, new: (1 - AVERAGED) * old + AVERAGED * new, averaged, parameters)
        return (parameters, moments, averaged), value

    first = maps_of(jnp.asarray(looks[0].maps[:1])), *(jnp.asarray(part[:1]) for part in (read, points))
    initial: Any = network.init(key, *first)
    parameters = initial["params"] if start is None else grown(initial["params"], start, spread)
    # The mean face does not learn, and must not decay.
    parameters = {name: layer for name, layer in parameters.items() if name != "mean"}
    state, values, random = (parameters, optimiser.init(parameters), parameters), [], np.random.default_rng(seed)
    for epoch in range(epochs):
        order = random.permutation(rows)
        for first in range(0, rows - BATCH + 1, BATCH):
            chosen = order[first : first + BATCH]
            batch = (
                gathered([part.maps for part in looks], chosen),
                read[chosen],
                points[chosen],
                units[chosen],
                expression[chosen],
                affect[chosen],
            )
            state, value = step(state, jax.random.fold_in(key, epoch * rows + first), batch)
            values.append(value)
        print(f"epoch {epoch + 1}: {np.mean(jax.device_get(values)):.4f}", flush=True)
        values = []
    return {**unlevelled(jax.device_get(state[2]), spread), "mean": mean}


def emotion_loss(told: AffectRead, expression: Int[Array, "batch"], affect: Float[Array, "batch 2"]) -> Array:
    """Likelihood of the class, square error and concordance of valence and arousal."""
    target = optax.smooth_labels(jax.nn.one_hot(expression, len(CLASS_AFFECT)), SMOOTH)
    likelihood = optax.softmax_cross_entropy(told.expression_logits, target).mean()
    both = jnp.stack([told.valence, told.arousal], axis=-1)
    agreement = concordance(both[:, 0], affect[:, 0]) + concordance(both[:, 1], affect[:, 1])
    return likelihood + 2 * jnp.mean((both - affect) ** 2) + 1 - 0.5 * agreement


def units_loss(told: AffectRead, units: Float[Array, "batch 52"], weight: Float[Array, "52"]) -> Array:
    """Square errors, those of rare units counted more."""
    assert told.unit_logits is not None
    return jnp.mean(weight * (jax.nn.sigmoid(told.unit_logits) - units) ** 2)


@jax.jit
def _told(parameters: Parameters, flat: Array, read: Array, points: Array) -> tuple[Array, ...]:
    told: Any = PictureReader().apply(parameters, maps_of(flat), read, points)
    return told.expression_logits, told.valence, told.arousal, told.unit_logits


def read_judges(parameters: Parameters, judges: FrozenSets) -> tuple[np.ndarray, ...]:
    """Shares of the classes, valence, arousal and units of each face: the means of both looks, as a photo is read."""
    half = len(judges.read) // 2
    looks = [
        [np.asarray(part) for part in _told(parameters, judges.maps[rows], judges.read[rows], judges.points[rows])]
        for rows in (slice(half), slice(half, None))
    ]
    logits, valence, arousal = (0.5 * (looks[0][part] + looks[1][part]) for part in range(3))
    units = 0.5 * (looks[0][3] + looks[1][3][:, MIRRORED])
    return np.asarray(jax.nn.softmax(logits)), valence, arousal, np.asarray(jax.nn.sigmoid(units))


def heat_of(parameters: dict, judges: FrozenSets) -> float:
    """The temperature at which the faces that judge are likeliest (Guo et al., arXiv:1706.04599)."""
    shares = read_judges({"params": parameters}, judges)[0]
    return temperature(shares, judges.expression[: len(shares)], floor=0.0)


def cooled(layer: dict[str, np.ndarray], heat: float) -> dict[str, np.ndarray]:
    """The last layer with logits divided by a temperature; valence and arousal stay."""
    outputs = len(layer["bias"])
    share = np.where(np.arange(outputs) < len(CLASS_AFFECT), 1 / heat, 1.0).astype(np.float32)
    return {name: array * share for name, array in layer.items()}


def judged(parameters: Parameters, judges: FrozenSets) -> dict[str, float]:
    """Measures over the faces that judge."""
    shares, valence, arousal, units = read_judges(parameters, judges)
    count = len(shares)
    labels = Labels(judges.expression[:count], *judges.affect[:count].T)
    found = {
        name: round(float(value.value), 3) for name, value in measures(Told(shares, valence, arousal), labels).items()
    }
    by_class = measures(Told(shares, *(shares @ np.array(list(CLASS_AFFECT.values()))).T), labels)
    found |= {f"{name} by class": round(float(by_class[name].value), 3) for name in ("V-CCC", "A-CCC")}
    return {**found, "units off by": round(float(np.abs(units - judges.units[:count]).mean()), 4)}


def taught_on(start: Path | None) -> str:
    """Which reader was taught on, for the description."""
    return "" if start is None else f", from the reader {hashlib.sha256(start.read_bytes()).hexdigest()[:16]}"


def describe(asked: argparse.Namespace, faces: int, heat: float, told: dict[str, float]) -> None:
    description = {
        "format": 1,
        "what": "half-float weights of emoca_jax.emotion.pictures: layers of other networks to emotion and 52 units",
        "sources": {
            "training": f"scripts/train_picture_reader.py, looks at each of {faces} open faces: {asked.turns}, seed "
            f"{asked.seed}, {asked.epochs} epochs{taught_on(asked.start)}; nobody's photos"
        },
        "licence": "Apache-2.0",
        "temperature": round(heat, 3),
        "other_drawn_faces": told,
        "sha256": hashlib.sha256(asked.output.read_bytes()).hexdigest(),
    }
    asked.output.with_suffix(".json").write_text(json.dumps(description, indent=2) + "\n")
    print(json.dumps(description, indent=2))


if __name__ == "__main__":
    sys.exit(main())
