"""Trains the encoder that ships, emoca_jax/assets/code_reader.npz: landmarks of a face to the open head's codes.

    python scripts/train_code_reader.py --data_dir datasets --judged others [--seed 0]

It learns from landmarks that the detector finds in drawn open faces (python -m data_pipelines.found, see
docs/training.md) and from mixtures of them, no photo among them, and from no true code: what it lowers is the energy of
the landmark fit (emoca_jax/fit/landmarks.py), so that it comes to do in one pass what the fit does in many. The same
seed gives the same bytes on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from data_pipelines.found import open_found
from emoca_jax import flame
from emoca_jax.codes import Codes
from emoca_jax.emotion.landmark_units import landmark_units, load_unit_reader, mirror_points
from emoca_jax.emotion.units import ARKIT_UNITS
from emoca_jax.errors import InputError
from emoca_jax.fit.landmark_model import LandmarkModel, face_width, landmark_model, project, visible_points
from emoca_jax.fit.landmarks import energy, landmark_goal
from emoca_jax.fit.one_pass import ASSET, codes_at_steps
from emoca_jax.fit.start import closed_form, in_world
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.look import fit_crop, to_plane
from emoca_jax.nets.code_reader import STEPS, CodeReader
from emoca_jax.nets.weights import Parameters, load_weights, save_weights
from emoca_jax.products import precise_einsum

ASSETS = Path(__file__).parents[1] / "emoca_jax" / "assets"
BATCH, TRAINED, RATE, WARM_UP = 128, 10_000, 2e-3, 200
STEEPEST = 1.0
"""Norm to which gradients are cut: some sets of landmarks are like no face."""
AVERAGED = 0.005
"""Share of a step's parameters in their moving average, which ships."""
STEP_SHARES = (0.3, 1.0)
"""How much the energy after each of the reader's steps counts."""
MIXED, FAR, SQUEEZE, JITTER = 0.75, 0.8, 0.05, 0.0004
"""Share of faces to which something of what lies between two others is added; most of it that is; deviation of the
logarithms of width, height and depth; deviation of each point, metres: photos are of more people than are drawn."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, 130 where it was interrupted, or 2 where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, nargs="+", required=True, help="open_faces with found_train.npz")
    parser.add_argument("--judged", type=Path, required=True, help="open_faces of other people with found_test.npz")
    parser.add_argument("--steps", type=int, default=TRAINED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ASSETS / f"{ASSET}.npz")
    asked = parser.parse_args(arguments)
    try:
        make(asked)
    except InputError as error:
        print(f"train_code_reader: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train_code_reader: interrupted, nothing is written", file=sys.stderr)
        return 130
    return 0


def make(asked: argparse.Namespace) -> None:
    """Landmarks, then the network, then the files. Errors: InputError where no face was looked for."""
    if asked.steps < 1:
        raise InputError(f"--steps is {asked.steps}; give 1 or more")
    faces = np.concatenate([found_planes(folder, "train") for folder in asked.data_dir])
    judges = found_planes(asked.judged, "test")
    head = jax.device_put(flame.load_head("open"))
    eyes = Eyes(landmark_model(head), load_unit_reader(), unit_order(head))
    parameters = trained(eyes, faces, judges, asked.seed, asked.steps)
    save_weights(asked.output, {"params": parameters})
    describe(asked, len(faces), judged(eyes, load_weights(asked.output), jnp.asarray(judges)))


class Eyes(NamedTuple):
    """What stays as it is."""

    model: LandmarkModel
    units: Parameters
    order: Int[np.ndarray, "units"]
    """Of the head's units among ARKit's."""


def unit_order(head: FaceHead) -> Int[np.ndarray, "units"]:
    """Where each of the head's units lies among ARKit's."""
    return np.array([ARKIT_UNITS.index(name) for name in head.expression_names])


def found_planes(folder: Path, split: str) -> Float[np.ndarray, "faces 478 3"]:
    """Landmarks that were found, each in the plane of its crop."""
    points = open_found("open_faces", split, data_dir=folder).points
    return np.stack([to_plane(one, fit_crop(one)) for one in points])


def trained(eyes: Eyes, faces: np.ndarray, judges: np.ndarray, seed: int, steps: int) -> dict:
    """Parameters, averaged over the last steps."""
    model, key = eyes.model, jax.random.key(seed)
    known, others = jnp.asarray(faces), jnp.asarray(judges)
    partner = jnp.asarray(partners(eyes, known))
    optimiser = optax.chain(
        optax.clip_by_global_norm(STEEPEST),
        optax.adam(optax.warmup_cosine_decay_schedule(0.0, RATE, min(WARM_UP, steps // 10), steps)),
    )

    def loss(parameters: dict, landmarks: Array) -> Array:
        def one(landmarks: Array, units: Array) -> Array:
            codes = codes_at_steps(model, {"params": parameters}, landmarks, units)
            after = jnp.stack([energy_left(model, landmarks, units, step) for step in codes])
            return jnp.vdot(jnp.array(STEP_SHARES), jnp.sqrt(1 + after))

        return jnp.mean(jax.vmap(one)(landmarks, units_of(eyes, landmarks)))

    @jax.jit
    def step(state: tuple, key: Array) -> tuple[tuple, Array]:
        parameters, moments, averaged = state
        landmarks = drawn_sets(model, known, partner, key)
        value, gradient = jax.value_and_grad(loss)(parameters, landmarks)
        update, moments = optimiser.update(gradient, moments, parameters)
        parameters: Any = optax.apply_updates(parameters, update)
        averaged = jax.tree.map(lambda old, new: (1 - AVERAGED) * old + AVERAGED * new, averaged, parameters)
        return (parameters, moments, averaged), value

    parameters = untrained(model, key)
    state, values = (parameters, optimiser.init(parameters), parameters), []
    for number in range(steps):
        state, value = step(state, jax.random.fold_in(key, number))
        values.append(value)
        if (number + 1) % max(1, steps // 16) == 0:
            off = judged(eyes, {"params": state[2]}, others)
            print(
                f"step {number + 1}: {np.mean(jax.device_get(values)):.2f}, others' landmarks off by "
                f"{off.median:.3f} % (median), {off.tenth:.3f} % (nine tenths)",
                flush=True,
            )
            values = []
    return jax.device_get(state[2])


def untrained(model: LandmarkModel, key: Key[Array, ""]) -> dict:
    """Parameters by step."""
    points, shapes, units = (
        len(model.index), model.points.shape_dirs.shape[-1], model.points.expression_dirs.shape[-1],
    )  # fmt: skip
    seen = (jnp.zeros((points, 3)), jnp.zeros(3), jnp.zeros(shapes), jnp.zeros(units), jnp.zeros(units))
    keys = jax.random.split(key, len(STEPS))
    return {name: CodeReader(shapes, units).init(one, *seen)["params"] for name, one in zip(STEPS, keys, strict=True)}


def units_of(eyes: Eyes, landmarks: Float[Array, "faces 478 3"]) -> Float[Array, "faces units"]:
    """Read off the landmarks, in the head's order."""
    return landmark_units(eyes.units, landmarks)[:, jnp.asarray(eyes.order)]


def energy_left(model: LandmarkModel, landmarks: Array, units: Array, codes: Codes) -> Float[Array, ""]:
    """The energy of the fit that codes leave, no emotion being expected."""
    rotation = closed_form(model, landmarks[model.index]).rotation
    return energy(model, landmark_goal(model, landmarks, jnp.zeros(7), rotation, units), codes)


def partners(eyes: Eyes, faces: Float[Array, "faces 478 3"]) -> Int[np.ndarray, "478"]:
    """Each landmark's mirror image."""
    framed, _ = jax.jit(jax.vmap(lambda one: in_frame(eyes.model, one)))(faces)
    mean = np.asarray(framed).mean(axis=0)[:, :2]
    partner = mirror_points(mean - mean.mean(axis=0))
    if not np.array_equal(partner[partner], np.arange(len(partner))):
        raise InputError("the faces' mean is not symmetric: too few were found")
    return partner


def in_frame(model: LandmarkModel, landmarks: Float[Array, "478 3"]) -> tuple[Array, tuple[Array, Array]]:
    """Landmarks in the head's own frame, about its middle, metres; and what leads back."""
    start = closed_form(model, landmarks[model.index])
    scale = start.variables.camera[0]
    framed = precise_einsum("pi,ij->pj", in_world(landmarks) / scale, start.rotation)
    return framed - jnp.mean(framed, axis=0, keepdims=True), (scale, start.rotation)


def drawn_sets(
    model: LandmarkModel, faces: Float[Array, "faces 478 3"], partner: Int[Array, "478"], key: Key[Array, ""]
) -> Float[Array, "batch 478 3"]:
    """Faces at random, half of them mirrored, most with something of two others, of other proportions."""
    pick, flip, amount, hide, squeeze, move = jax.random.split(key, 6)
    rows = jax.random.randint(pick, (3, BATCH), 0, len(faces))
    chosen = faces[rows]
    mirrored = chosen[:, :, partner] * jnp.array([-1.0, 1.0, 1.0])[None, None, None]
    chosen = jnp.where(jax.random.bernoulli(flip, 0.5, (3, BATCH))[..., None, None], mirrored, chosen)
    framed, (scale, rotation) = jax.vmap(jax.vmap(lambda one: in_frame(model, one)))(chosen)
    share = FAR * jax.random.uniform(amount, (BATCH, 1, 1)) * jax.random.bernoulli(hide, MIXED, (BATCH, 1, 1))
    points = framed[0] + share * (framed[1] - framed[2])
    points = points * jnp.exp(SQUEEZE * jax.random.normal(squeeze, (BATCH, 1, 3)))
    points = points + JITTER * jax.random.normal(move, points.shape)
    world = precise_einsum("bpj,bij->bpi", points, rotation[0]) * scale[0][:, None, None]
    return in_world(world) + jnp.mean(chosen[0], axis=1, keepdims=True)


class Off(NamedTuple):
    """Landmark errors of faces that nothing was trained on, percent of their width."""

    median: float
    tenth: float
    """Passed by one in ten."""


def judged(eyes: Eyes, network: Parameters, faces: Float[Array, "faces 478 3"]) -> Off:
    """How far encoded faces' visible points lie from the landmarks."""
    errors = np.asarray(_errors(eyes.model, network, faces, units_of(eyes, faces)))
    return Off(*(float(np.percentile(errors, share)) for share in (50, 90)))


@jax.jit
def _errors(model: LandmarkModel, network: Parameters, faces: Array, units: Array) -> Float[Array, "faces"]:
    def one(landmarks: Array, units: Array) -> Array:
        codes = codes_at_steps(model, network, landmarks, units)[-1]
        beside = (project(model, codes) - landmarks[model.index])[:, :2]
        seen = visible_points(model, codes).astype(beside.dtype)
        square = jnp.sum(seen[:, None] * beside**2) / jnp.sum(seen)
        return 100 * jnp.sqrt(square) / face_width(landmarks)

    return jax.vmap(one)(faces, units)


def describe(asked: argparse.Namespace, faces: int, off: Off) -> None:
    """Beside the weights, what they are and where they come from."""
    description = {
        "format": 1,
        "what": "half-float weights of emoca_jax.fit.one_pass: landmarks of a face to codes of the open head",
        "head": hashlib.sha256((ASSETS / "open_head.npz").read_bytes()).hexdigest(),
        "sources": {
            "training": f"scripts/train_code_reader.py on {faces} drawn open faces' found landmarks and mixtures, "
            f"{asked.steps} steps, seed {asked.seed}, nobody's photos",
        },
        "off by, % of the face's width": {"median": round(off.median, 3), "nine tenths": round(off.tenth, 3)},
        "licence": "Apache-2.0",
        "sha256": hashlib.sha256(asked.output.read_bytes()).hexdigest(),
    }  # fmt: skip
    asked.output.with_suffix(".json").write_text(json.dumps(description, indent=2) + "\n")
    print(json.dumps(description, indent=2))


if __name__ == "__main__":
    sys.exit(main())
