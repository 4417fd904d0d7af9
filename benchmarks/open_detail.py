"""Whether wrinkles that were learned on open faces explain people that nothing was trained on, and how large they are.

    python benchmarks/open_detail.py --data others [--split test] [--picture faces.png] RUN [...]

A row each for what shades the same coarse face in uv space: the coarse normals; the grid of texels without any
displacement; the displacement of each photo's own detail code; of another photo's of the person; of another person's;
and the mean displacement of all. Error: mean absolute colour difference over what is compared and seen, of 1, 95 %
intervals with people drawn again; beside it what it adds to the coarse normals' error, face by face.
Behind the table: sizes in mm where the mask is more than half; asymmetry: mean |d - mirrored d| over mean |d|; alike:
correlation of displacements, less their mean over all faces, between photos of a person and between people.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

# The package and the scripts are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from PIL import Image

from data_pipelines.encoder_crops import BYTE
from emoca_jax import render
from emoca_jax.arrays import AnyArray
from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel, displaced_normals, to_uv, unwrap_image, uv_visibility
from emoca_jax.errors import InputError
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.flame import load_head
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.landmark_encoders import landmark_encoders
from emoca_jax.jobs.open_detail import open_detail_model
from emoca_jax.losses.detail import visible_patches
from emoca_jax.model import Reconstruction, decode
from emoca_jax.render.clay import clay_image
from emoca_jax.training.stages.detail_networks import saved_detail_networks
from scripts.reproduction_measures import AT_ONCE, HeldOut, Interval, held_out, with_intervals
from scripts.train_coarse import variables_of

SIDE = 144
"""Pixels that packaged pictures are brought to, as in configs/open/."""
COARSE, GRID, OWN, SAME_PERSON, OTHER_PERSON, MEAN = (
    "coarse normals", "no displacement", "own detail code", "another photo's of the person", "another person's",
    "the mean displacement",
)  # fmt: skip
MILLIMETRES = 1000.0
SHOWN = 4
"""People in the picture."""


class Wrinkles(NamedTuple):
    """Of all faces."""

    maps: Float[AnyArray, "faces side side"]
    """Predicted displacement, metres."""
    codes: Codes


class Run:
    """A run's networks over held-out faces."""

    def __init__(self, run: str, head: FaceHead) -> None:
        self.variables = jax.device_put(variables_of(run))
        networks = saved_detail_networks(head, self.variables["params"])
        if networks is None:
            raise InputError(f"{run}: has learned no details: give a run of deca_detail_tiny or emoca_detail_tiny")
        self.head, self.networks = head, networks
        self.encoders = landmark_encoders(head, landmark_model(head))
        self.model = open_detail_model(head, {}, size=networks.side)
        self._read = jax.jit(self._read_batch)
        self._error = jax.jit(self._error_batch)
        self._draw = jax.jit(self._draw_batch)

    def wrinkles(self, faces: HeldOut) -> Wrinkles:
        """Codes and displacements of all faces."""
        parts = [jax.device_get(self._read(self.variables, seen)) for seen in batches(faces)]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    def errors(
        self, faces: HeldOut, codes: Codes, maps: Float[np.ndarray, "faces side side"] | None
    ) -> Float[np.ndarray, "faces"]:
        """Error of each face with these displacements; None for the coarse normals."""
        told = []
        for start, seen in zip(range(0, len(faces.person), AT_ONCE), batches(faces), strict=True):
            rows = slice(start, start + AT_ONCE)
            one = jax.tree.map(lambda leaf, rows=rows: leaf[rows], codes)
            told.append(jax.device_get(self._error(seen, one, None if maps is None else maps[rows])))
        return np.concatenate(told)

    def picture(
        self, faces: HeldOut, found: Wrinkles, rows: Int[np.ndarray, "shown"]
    ) -> Float[np.ndarray, "height width 3"]:
        """Photo | coarse | detail | clay of both, a face a row."""
        codes, maps = jax.tree.map(lambda leaf: np.asarray(leaf)[rows], (found.codes, found.maps))
        images = faces.seen["images"][rows].astype(np.float32) / BYTE
        tiles = [images, *jax.device_get(self._draw(codes, maps, images))]
        return np.concatenate([np.concatenate(list(column), axis=0) for column in tiles], axis=1)

    def _read_batch(self, variables: Mapping[str, Any], seen: Mapping[str, Array]) -> Wrinkles:
        state, images = (variables["params"], variables["batch_stats"]), _floats(seen)
        codes = self.encoders.encode(*state, images, trained=None, landmarks=seen["landmarks_mediapipe"]).codes
        codes = codes.replace(detail=self.networks.encode(*state, images, train=False)[0])
        return Wrinkles(self.networks.displace(*state, codes, train=False)[0], codes)

    def _error_batch(self, seen: Mapping[str, Array], codes: Codes, maps: Array | None) -> Float[Array, "faces"]:
        images, head, model = _floats(seen), self.head, self.model
        found = decode(head, codes, images.shape[1:3])
        texture = shaded(model, head, codes, found, maps)
        known = jnp.concatenate([images, seen["mask"][..., None]], axis=-1)
        photo = unwrap_image(model, found.image_vertices, head.faces, known)
        visible = photo[..., 3] * uv_visibility(model, found.image_normals, head.faces) * model.mask[None]
        drawn, photographed = visible_patches(texture, photo[..., :3], visible, span=model.span)
        area, _ = visible_patches(jnp.ones_like(texture), texture, visible, span=model.span)
        return jnp.sum(jnp.abs(drawn - photographed), axis=(1, 2, 3)) / jnp.sum(area, axis=(1, 2, 3))

    def _draw_batch(self, codes: Codes, maps: Array, images: Array) -> tuple[Array, ...]:
        found = decode(self.head, codes, images.shape[1:3], detail=self.model, displacement=maps)
        assert found.detail is not None
        layers = (
            found.rendering, found.detail.rendering,
            clay_image(found.normal_image, found.alpha), clay_image(found.detail.normal_image, found.alpha),
        )  # fmt: skip
        return tuple(render.over(images, jnp.clip(layer, 0, 1), found.alpha) for layer in layers)


def shaded(
    model: DetailModel, head: FaceHead, codes: Codes, found: Reconstruction, maps: Array | None
) -> Float[Array, "faces side side 3"]:
    """Albedo times the light on coarse or displaced normals, as `model.decode` has it."""
    if maps is None:
        normals = render.normalize(to_uv(model.uv_fragments, found.normals, head.faces))
    else:
        normals = displaced_normals(model, maps, found.vertices, found.normals, head.faces)
    shading = render.spherical_harmonics(normals, codes.light)
    return jax.image.resize(found.albedo, shading.shape, "linear") * shading


def batches(faces: HeldOut) -> list[dict[str, np.ndarray]]:
    """AT_ONCE at a time, the last fewer."""
    starts = range(0, len(faces.person), AT_ONCE)
    return [{name: array[start : start + AT_ONCE] for name, array in faces.seen.items()} for start in starts]


def _floats(seen: Mapping[str, Array]) -> Array:
    return seen["images"].astype(jnp.float32) / BYTE


def next_of_the_person(person: Int[np.ndarray, "faces"]) -> Int[np.ndarray, "faces"]:
    """For each face the person's next one, itself where there is no other."""
    after = np.arange(len(person))
    for one in np.unique(person):
        rows = np.flatnonzero(person == one)
        after[rows] = np.roll(rows, -1)
    return after


def of_another_person(person: Int[np.ndarray, "faces"], *, seed: int = 0) -> Int[np.ndarray, "faces"]:
    """For each face one of somebody else, by chance."""
    random = np.random.default_rng(seed)
    return np.array([random.choice(np.flatnonzero(person != one)) for one in person])


def alike(
    maps: Float[np.ndarray, "faces side side"], mask: Float[np.ndarray, "side side"], other: Int[np.ndarray, "faces"]
) -> float:
    """Mean correlation of each face's displacement with another's, both less the mean of all."""
    flat = maps[:, mask > 0.5]
    flat = flat - flat.mean(axis=0)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    return float(np.mean(np.sum(flat * flat[other], axis=1)))


def table(run: Run, faces: HeldOut, found: Wrinkles) -> list[str]:
    """Lines of COARSE .. MEAN."""
    same, other = next_of_the_person(faces.person), of_another_person(faces.person)
    maps = np.asarray(found.maps)
    mean = np.broadcast_to(maps.mean(axis=0), maps.shape)
    variants = {
        COARSE: None, GRID: 0 * maps, OWN: maps, SAME_PERSON: maps[same], OTHER_PERSON: maps[other], MEAN: mean,
    }  # fmt: skip
    errors = {name: run.errors(faces, found.codes, maps) for name, maps in variants.items()}
    lines = ["| | error | minus coarse |", "|---|---|---|"]
    for name, error in errors.items():
        whole, added = (
            with_intervals(lambda rows, _, values=values: float(np.mean(values[rows])), faces.person)
            for values in (error, error - errors[COARSE])
        )
        lines.append(f"| {name} | {_told(whole)} | {_told(added, sign='+')} |")
    return lines


def _told(interval: Interval, sign: str = "") -> str:
    return f"{interval.value:{sign}.5f} ({interval.low:{sign}.5f} to {interval.high:{sign}.5f})"


def sizes(run: Run, faces: HeldOut, maps: Float[np.ndarray, "faces side side"]) -> str:
    """How large displacements are, whether they are alike on both sides, on a person's photos, between people."""
    mask = np.asarray(run.model.mask)
    inside = MILLIMETRES * maps[:, mask > 0.5]
    middle, most = np.percentile(np.abs(inside), (50, 95))
    mirrored = np.abs(maps - maps[..., ::-1])[:, mask > 0.5].mean() / np.abs(maps[:, mask > 0.5]).mean()
    spread = inside.std(axis=0).mean()
    same = alike(maps, mask, next_of_the_person(faces.person))
    other = alike(maps, mask, of_another_person(faces.person))
    return (
        f"|displacement| {middle:.3f} mm (median), {most:.3f} mm (95 %), its deviation over faces {spread:.3f} mm; "
        f"asymmetry {mirrored:.2f}; alike: {same:.2f} on a person's photos, {other:.2f} between people"
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, or 2 where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--data", required=True, help="folder of packaged open faces, looked for")
    parser.add_argument("--split", default="test")
    parser.add_argument("--picture", type=Path, help="photo | coarse | detail | clay of both, of the first run")
    asked = parser.parse_args(arguments)
    try:
        head = jax.device_put(load_head("open"))
        runs = [Run(run, head) for run in asked.runs]
        faces = held_out(asked.data, side=SIDE, size=runs[0].encoders.size, split=asked.split)
        print(f"{len(faces.person)} faces of {len(np.unique(faces.person))} people")
        for number, (name, run) in enumerate(zip(asked.runs, runs, strict=True)):
            found = run.wrinkles(faces)
            told = table(run, faces, found), sizes(run, faces, np.asarray(found.maps))
            print("\n".join([f"\n{Path(name).name}", *told[0], "", told[1]]))
            if asked.picture and number == 0:
                rows = np.linspace(0, len(faces.person) - 1, SHOWN).astype(int)
                shown = np.round(255 * np.clip(run.picture(faces, found, rows), 0, 1)).astype(np.uint8)
                Image.fromarray(shown).save(asked.picture)
    except InputError as error:
        print(f"open_detail: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
