"""What a reconstruction of a drawn face is worth: emotion, units, geometry, landmarks, each beside the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from data_pipelines import encoder_crops
from data_pipelines.encoder_crops import BYTE
from data_pipelines.found import FOUND, open_found
from data_pipelines.loader import Batching
from data_pipelines.loader import batches as loaded
from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.emotion.units import load_units_network, read_units
from emoca_jax.fit.landmark_model import LandmarkModel, landmark_model
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.landmark_encoders import found_at
from emoca_jax.mediapipe_points import CHEEKS
from emoca_jax.model import decode
from emoca_jax.nets.emotion.crop import crop_image, expression_crop
from emoca_jax.nets.emotion.open import expression_features, load_expression_networks
from emoca_jax.similarity import align_similarity
from emoca_jax.training.stages.encoders import Encoders

NEAR = 0.01
"""Metres from one of MediaPipe's points within which a vertex of the template's skin belongs to the face's region."""
AT_ONCE = 32
DRAWS, CONFIDENCE = 2000, 95.0
TRUTHS = ("expression", "valence", "arousal", "units", "shape", "index")


class HeldOut(NamedTuple):
    """Faces that nothing was trained on."""

    seen: dict[str, np.ndarray]
    """`images`, `landmarks_mediapipe`, `mask`, as an encoder sees them."""
    truth: dict[str, np.ndarray]
    person: Int[np.ndarray, "faces"]


class Told(NamedTuple):
    """What is known of the faces by one set of encoders, a row a face."""

    label: Int[np.ndarray, "faces"]
    """By EMO-MLP from the units."""
    valence: Float[np.ndarray, "faces"]
    arousal: Float[np.ndarray, "faces"]
    shown: Int[np.ndarray, "faces"]
    """By the image networks that ship, from the rendering in the photo's place."""
    shown_alone: Int[np.ndarray, "faces"]
    """By mini-Xception alone, which shares no layer with the encoders, nor with a recogniser on face-api's layers."""
    unit_error: Float[np.ndarray, "faces"]
    face_error: Float[np.ndarray, "faces"]
    """Millimetres, vertices of the face's region, head and pose taken off: true shape, true against told units."""
    whole_error: Float[np.ndarray, "faces"]
    """Millimetres, told shape and units against the true ones, laid over each other by a similarity."""
    shape_error: Float[np.ndarray, "faces"]
    """Millimetres, the same without expression: who it is."""
    landmark_error: Float[np.ndarray, "faces"]
    """Percent of the face's width: where the detector would find the head's points, against where it found them."""


def held_out(folder: str, *, side: int, size: int, split: str = "test") -> HeldOut:
    """The faces of a split in which a face was found."""
    source = open_found("open_faces", split, data_dir=folder)
    once = Batching(size=AT_ONCE, side=side, margin=None, epochs=1, threads=1, processes=1, process=0)
    parts: list[dict[str, np.ndarray]] = list(iter(loaded(source, once)))
    kept = {name: np.concatenate([part[name] for part in parts]) for name in (*TRUTHS, "image", "place", FOUND)}
    cut = encoder_crops.held_out(iter([{name: part[name] for name in encoder_crops.KEPT} for part in parts]), size=size)
    seen = {name: np.concatenate([part[name] for part in cut]) for name in cut[0]}
    person = np.asarray(source.columns["identity"])[kept["index"]]
    return HeldOut(seen, {name: kept[name] for name in TRUTHS}, person)


def together(sets: Sequence[HeldOut]) -> HeldOut:
    """Several sets of faces as one; people of different sets are different people, whatever their numbers."""
    first = sets[0]
    numbers = [np.unique(one.person, return_inverse=True)[1] for one in sets]
    before = np.cumsum([0, *(number.max() + 1 for number in numbers)])
    return HeldOut(
        {name: np.concatenate([one.seen[name] for one in sets]) for name in first.seen},
        {name: np.concatenate([one.truth[name] for one in sets]) for name in first.truth},
        np.concatenate([number + start for number, start in zip(numbers, before, strict=False)]),
    )


def face_region(head: FaceHead) -> Int[np.ndarray, "vertices"]:
    """Vertices of the skin near MediaPipe's points: what a face shows, without ears, scalp and neck."""
    points = np.asarray(flame.landmarks_mediapipe(head, jnp.asarray(head.template)))
    skin = np.unique(np.asarray(head.faces)[np.asarray(head.face_part) == head.part_names.index("skin")])
    far = np.linalg.norm(np.asarray(head.template)[skin][:, None] - points[None], axis=-1).min(axis=1)
    return skin[far < NEAR]


Reader = Callable[[Mapping[str, Any], dict[str, Any], dict[str, Any]], dict[str, Any]]
"""Of encoders' variables, a batch as they see it, and its truth: columns of `Told`."""


def reader(encoders: Encoders, head: FaceHead) -> Reader:
    """What reads batches; one program for all encoders with the same variables."""
    region, model = jnp.asarray(face_region(head)), landmark_model(head)
    networks, emo_mlp = load_expression_networks(), load_units_network()

    @jax.jit
    def one_batch(variables: Mapping[str, Any], seen: dict[str, Any], truth: dict[str, Any]) -> dict[str, Any]:
        images = seen["images"].astype(jnp.float32) / BYTE
        codes = encoders.encode(
            variables["params"], variables["batch_stats"], images,
            trained=None, landmarks=seen["landmarks_mediapipe"],
        ).codes  # fmt: skip
        read = read_units(emo_mlp, codes.expression, head.expression_names)
        return {
            "label": jnp.argmax(read.expression_logits, axis=-1),
            "valence": read.valence,
            "arousal": read.arousal,
            **_read_rendering(head, networks, codes, images, seen),
            "unit_error": jnp.abs(codes.expression - truth["units"]).mean(axis=-1),
            "landmark_error": _landmark_error(head, model, codes, seen["landmarks_mediapipe"]),
            **_geometry(head, region, codes, truth["shape"], truth["units"]),
        }

    return one_batch


def told_by(read: Reader, variables: Mapping[str, Any], faces: HeldOut) -> Told:
    """All measures of one set of encoders."""
    parts = []
    for start in range(0, len(faces.person), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        seen = {name: array[rows] for name, array in faces.seen.items()}
        truth = {name: faces.truth[name][rows].astype(np.float32) for name in ("units", "shape")}
        parts.append(jax.device_get(read(variables, seen, truth)))
    return Told(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _read_rendering(head: FaceHead, networks: Any, codes: Codes, images: Any, seen: dict[str, Any]) -> dict[str, Any]:
    found = decode(head, codes, images.shape[1:3])
    cover = found.alpha * seen["mask"]
    pictures = render.over(images, jnp.clip(found.rendering, 0, 1) * cover[..., None], cover)
    return _shown(networks, pictures, seen["landmarks_mediapipe"])


def _shown(networks: Any, pictures: Any, landmarks: Any) -> dict[str, Any]:
    # The first seven of AffectNet's classes, in its order.
    read = expression_features(networks, jax.vmap(crop_image)(pictures, expression_crop(landmarks)))
    return {
        "shown": jnp.argmax(read.probabilities, axis=-1),
        "shown_alone": jnp.argmax(read.logits[:, 0], axis=-1),
    }


def at_best(faces: HeldOut, head: FaceHead) -> dict[str, float]:
    """What those who judge read where nothing is reconstructed: EMO-MLP true units, image networks the photos.

    By measure, of all faces.
    """
    networks = load_expression_networks()

    @jax.jit
    def one_batch(images: Any, landmarks: Any, units: Any) -> dict[str, Any]:
        read = read_units(load_units_network(), units, head.expression_names)
        label = jnp.argmax(read.expression_logits, axis=-1)
        shown = _shown(networks, images.astype(jnp.float32) / BYTE, landmarks)
        return {"label": label, "valence": read.valence, "arousal": read.arousal, **shown}

    parts = []
    for start in range(0, len(faces.person), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        units = faces.truth["units"][rows].astype(np.float32)
        parts.append(
            jax.device_get(one_batch(faces.seen["images"][rows], faces.seen["landmarks_mediapipe"][rows], units))
        )
    known = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    unknown = np.full(len(faces.person), np.nan)
    told = Told(**{name: known.get(name, unknown) for name in Told._fields})
    found = {name: measure(told, faces.truth, np.arange(len(faces.person))) for name, measure in MEASURES.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _landmark_error(head: FaceHead, model: LandmarkModel, codes: Codes, found: Any) -> Any:
    points = found_at(head, model, codes)
    right = found[:, jnp.asarray(head.mediapipe_index)]
    width = jnp.linalg.norm(found[:, CHEEKS[0]] - found[:, CHEEKS[1]], axis=-1)
    return 100 * jnp.linalg.norm(points[..., :2] - right[..., :2], axis=-1).mean(axis=-1) / width


def _geometry(head: FaceHead, region: Any, codes: Codes, shape: Any, units: Any) -> dict[str, Any]:
    """Errors of the face's region in millimetres, mean over its vertices."""

    def vertices(shape: Any, units: Any) -> Any:
        return flame.unposed_vertices(head, shape, units)[..., region, :]

    def apart(first: Any, second: Any) -> Any:
        return 1000 * jnp.linalg.norm(first - second, axis=-1).mean(axis=-1)

    def laid_over(points: Any, target: Any) -> Any:
        return jax.vmap(lambda a, b: apart(align_similarity(a, b).apply(a), b))(points, target)

    true, rest = vertices(shape, units), jnp.zeros_like(units)
    return {
        "face_error": apart(vertices(shape, codes.expression), true),
        "whole_error": laid_over(vertices(codes.shape, codes.expression), true),
        "shape_error": laid_over(vertices(codes.shape, rest), vertices(shape, rest)),
    }


class Interval(NamedTuple):
    """A number and the ends of its confidence interval."""

    value: float
    low: float
    high: float


Measure = Callable[[Told, dict[str, np.ndarray], np.ndarray], float]
"""Of what is told, the truth, and the rows that count."""


def _ccc(name: str) -> Measure:
    """In NumPy: thousands of draws, each of another size, would be as many programs to compile."""

    def measure(told: Told, truth: dict[str, np.ndarray], rows: np.ndarray) -> float:
        read, right = getattr(told, name)[rows].astype(np.float64), truth[name][rows].astype(np.float64)
        shared = np.mean((read - read.mean()) * (right - right.mean()))
        return float(2 * shared / (read.var() + right.var() + (read.mean() - right.mean()) ** 2))

    return measure


def _accuracy(name: str) -> Measure:
    return lambda told, truth, rows: float(np.mean(getattr(told, name)[rows] == truth["expression"][rows]))


def _mean(name: str) -> Measure:
    return lambda told, truth, rows: float(np.mean(getattr(told, name)[rows]))


MEASURES: dict[str, Measure] = {
    "V-CCC (EMO-MLP)": _ccc("valence"),
    "A-CCC (EMO-MLP)": _ccc("arousal"),
    "accuracy (EMO-MLP)": _accuracy("label"),
    "accuracy of renderings (networks that ship)": _accuracy("shown"),
    "accuracy of renderings (mini-Xception alone)": _accuracy("shown_alone"),
    "unit error": _mean("unit_error"),
    "face region, expression alone, mm": _mean("face_error"),
    "face region, aligned, mm": _mean("whole_error"),
    "identity, aligned, mm": _mean("shape_error"),
    "landmarks, % of face width": _mean("landmark_error"),
}


def with_intervals(
    measure: Callable[[np.ndarray, np.ndarray], float],
    person: Int[np.ndarray, "faces"],
    *,
    seeds: int = 1,
    seed: int = 0,
    draws: int = DRAWS,
) -> Interval:
    """A measure of rows and seeds with its bootstrap interval: people, and seeds, are drawn again with replacement.

    All faces of a person come together: they are alike, so single faces drawn again would promise too much.
    """
    rows = [np.flatnonzero(person == one) for one in np.unique(person)]
    random = np.random.default_rng(seed)

    def again() -> float:
        people = random.integers(0, len(rows), len(rows))
        return measure(np.concatenate([rows[k] for k in people]), random.integers(0, seeds, seeds))

    tail = (100 - CONFIDENCE) / 2
    low, high = np.percentile([again() for _ in range(draws)], (tail, 100 - tail))
    return Interval(measure(np.arange(len(person)), np.arange(seeds)), float(low), float(high))
