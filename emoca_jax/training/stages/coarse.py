"""The coarse stages: E_flame (DECA section 3.3), then E_expression alone (EMOCA section 3.2).

One step: images to codes, codes to heads, heads to pictures of the crop's size, pictures and points to the one whole
loss of `objectives.coarse`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead
from emoca_jax.losses.photometric import MaskKind
from emoca_jax.losses.shape_consistency import doubled, exchanged, mean_within_identity
from emoca_jax.model import decode
from emoca_jax.objectives.coarse import CoarseBatch, Judges, coarse_objective
from emoca_jax.objectives.terms import Objective
from emoca_jax.products import CUBLAS
from emoca_jax.training.loop import Stage
from emoca_jax.training.seeing import Faces
from emoca_jax.training.stages.encoders import Encoders
from emoca_jax.training.stages.pictures import as_faces, drawn_in_columns, first_faces
from emoca_jax.training.state import Parameters, under
from emoca_jax.training.step import Batch, Outcome

SameShape = Literal["none", "exchange", "same"]
"""How the photos of one identity share a shape: not at all, each with another's code too, or all with the mean."""
BYTE = 255.0
ENTRIES = ("images", "landmarks", "landmarks_mediapipe", "mask")
"""What a batch may hold, as `CoarseBatch` has it; images as bytes or in [0, 1]."""
Augment = Callable[[Key[Array, ""], Batch], Batch]


class Coarse(NamedTuple):
    """What a coarse stage minimises."""

    head: FaceHead
    encoders: Encoders
    trained: str
    """FLAME or EXPRESSION."""
    weights: Mapping[str, float]
    """By term, as `objectives.coarse` names them."""
    judges: Judges = Judges()
    mask_kind: MaskKind = "rendered"
    found_at: Callable[[Codes], Array] | None = None
    """Where a detector would find the head's `mediapipe_index` points, [batch, points, 3] in the image plane; None for
    where they lie."""
    uv_mask: Any = None
    """Where on the head the comparison counts; None everywhere."""
    same_shape: SameShape = "none"
    per_identity: int = 1
    """Images of one identity, next to each other in a batch."""
    official: bool = False
    """Follow the reference's bugs, as the released weights were trained with them."""


def coarse_stage(
    name: str,
    coarse: Coarse,
    start: tuple[Parameters, Parameters] | Callable[[Array], tuple[Parameters, Parameters]],
    optimiser: optax.GradientTransformation,
    held_out: Callable[[], Iterable[dict[str, np.ndarray]]],
    *,
    augment: Augment | None = None,
) -> Stage:
    """The stage for batches of ENTRIES.

    start: parameters and statistics, or what makes them of a key. held_out: batches of ENTRIES to judge on, all of one
    size. augment: of a batch, on the device, at random; may make ENTRIES of other entries. What is not trained is
    frozen by construction: neither gradient nor optimiser sees it.
    """
    if coarse.same_shape != "none" and coarse.per_identity < 2:
        raise InputError(f"same_shape {coarse.same_shape!r} ties images of a person: give per_identity of 2 or more")

    def loss(parameters: Parameters, statistics: Parameters, batch: Batch, key: Array) -> Outcome:
        change, order = jax.random.split(key)
        seen = batch if augment is None else augment(change, batch)
        result, after = whole_loss(coarse, parameters, statistics, seen, order, train=True)
        return Outcome(result.terms, after, result.metrics)

    judged = jax.jit(lambda *state: _judge(coarse, *state), compiler_options=CUBLAS)

    def evaluate(parameters: Parameters, statistics: Parameters) -> dict[str, float]:
        told = [jax.device_get(judged(parameters, statistics, batch)) for batch in held_out()]
        return {name: float(np.mean([one[name] for one in told])) for name in told[0]}

    drawn = jax.jit(lambda *state: _columns(coarse, *state), compiler_options=CUBLAS)

    def show(parameters: Parameters, statistics: Parameters) -> Faces | None:
        batch = next(iter(held_out()), None)
        return None if batch is None else as_faces(drawn(parameters, statistics, first_faces(batch)))

    return Stage(
        name=name,
        initial=start if callable(start) else lambda key: start,
        loss=loss,
        optimiser=optimiser,
        evaluate=evaluate,
        metric="loss",
        best="min",
        is_trained=under(coarse.trained),
        show=show,
    )


def whole_loss(
    coarse: Coarse, parameters: Parameters, statistics: Parameters, batch: Batch, key: Array, *, train: bool
) -> tuple[Objective, Parameters]:
    """The whole loss of a batch, and the statistics after it. key: of the exchange of shapes."""
    seen = as_seen(batch)
    encoded = coarse.encoders.encode(
        parameters, statistics, seen.images,
        trained=coarse.trained if train else None, landmarks=seen.landmarks_mediapipe,
    )  # fmt: skip
    codes = encoded.codes
    if coarse.same_shape == "same":
        codes = codes.replace(shape=mean_within_identity(codes.shape, coarse.per_identity))
    elif coarse.same_shape == "exchange":
        codes = doubled(codes, codes.replace(shape=exchanged(key, codes.shape, coarse.per_identity)))
        seen = doubled(seen, seen)
    return drawn_loss(coarse, codes, seen), encoded.statistics


def drawn_loss(coarse: Coarse, codes: Codes, seen: CoarseBatch) -> Objective:
    """The whole loss of codes: they are decoded at the size of the images."""
    found = decode(coarse.head, codes, seen.images.shape[-3:-1], official=coarse.official)
    if coarse.found_at is not None:
        found = found.replace(landmarks_mediapipe=coarse.found_at(codes))
    return coarse_objective(
        coarse.head, codes, found, seen, coarse.judges, coarse.weights,
        uv_mask=coarse.uv_mask, mask_kind=coarse.mask_kind, official=coarse.official,
    )  # fmt: skip


def as_seen(batch: Batch) -> CoarseBatch:
    """A batch's ENTRIES."""
    entries = {name: batch[name] for name in ENTRIES if name in batch}
    return CoarseBatch(**{**entries, "images": as_floats(entries["images"])})


def as_floats(images: Array) -> Array:
    """Pictures in [0, 1], which travel as bytes."""
    return images.astype(jnp.float32) / BYTE if images.dtype == jnp.uint8 else images


def _columns(coarse: Coarse, parameters: Parameters, statistics: Parameters, batch: Batch) -> Array:
    seen = as_seen(batch)
    codes = coarse.encoders.encode(
        parameters, statistics, seen.images, trained=None, landmarks=seen.landmarks_mediapipe
    ).codes
    return drawn_in_columns(coarse.head, codes, seen.images, official=coarse.official)


def _judge(coarse: Coarse, parameters: Parameters, statistics: Parameters, batch: Batch) -> dict[str, Array]:
    """Terms, their sum and metrics on faces that are not trained on; each keeps its own shape."""
    alone = coarse._replace(same_shape="none")
    result, _ = whole_loss(alone, parameters, statistics, batch, jax.random.key(0), train=False)
    return {"loss": result.total, **result.terms, **result.metrics}
