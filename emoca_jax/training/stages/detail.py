"""The detail stage: E_detail and D_detail (DECA section 3.4, EMOCA section 3.2), everything coarse frozen.

One step: images to codes by frozen encoders and a trained E_detail, codes to a displacement by a trained D_detail, the
displaced head to its texture, texture and photo to the one whole loss of `objectives.detail`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel
from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead
from emoca_jax.losses.shape_consistency import doubled, exchanged
from emoca_jax.model import decode
from emoca_jax.objectives.detail import DetailBatch, detail_objective
from emoca_jax.objectives.terms import Objective
from emoca_jax.products import CUBLAS
from emoca_jax.training.loop import Stage
from emoca_jax.training.seeing import Faces
from emoca_jax.training.stages.coarse import Augment, as_floats
from emoca_jax.training.stages.detail_networks import DECODER, DETAIL, DetailNetworks
from emoca_jax.training.stages.encoders import Encoders
from emoca_jax.training.stages.pictures import as_faces, drawn_in_columns, first_faces
from emoca_jax.training.state import Parameters, under
from emoca_jax.training.step import Batch, Outcome

ENTRIES = ("images", "mask", "landmarks_mediapipe")
"""What a batch may hold: as of `DetailBatch`, images as bytes or in [0, 1]; landmarks for encoders that read them."""


class Detailing(NamedTuple):
    """What a detail stage minimises."""

    head: FaceHead
    encoders: Encoders
    """Of the coarse face, which stay as they are."""
    model: DetailModel
    """Layout and maps; its decoder is not asked while training."""
    weights: Mapping[str, float]
    """By term, as `objectives.detail` names them."""
    vgg: Any = None
    """Frozen variables of VGG-19, where "mrf" has a weight."""
    same_detail: Literal["none", "exchange"] = "none"
    """Whether the photos of one identity are explained with each other's detail code, too."""
    per_identity: int = 1
    """Images of one identity, next to each other in a batch."""
    networks: DetailNetworks = DetailNetworks()
    """What E_detail and D_detail are made of."""
    official: bool = False
    """Follow the reference's bugs, as the released weights were trained with them."""


def detail_stage(
    name: str,
    detailing: Detailing,
    start: tuple[Parameters, Parameters] | Callable[[Array], tuple[Parameters, Parameters]],
    optimiser: optax.GradientTransformation,
    held_out: Callable[[], Iterable[dict[str, np.ndarray]]],
    *,
    augment: Augment | None = None,
) -> Stage:
    """The stage for batches of ENTRIES. start, held_out, augment: as of `coarse_stage`; `DetailNetworks.start`
    makes a start.

    Neither gradient nor optimiser sees anything but E_detail and D_detail.
    """
    if detailing.same_detail != "none" and detailing.per_identity < 2:
        raise InputError("same_detail 'exchange' ties images of a person: give per_identity of 2 or more")

    def loss(parameters: Parameters, statistics: Parameters, batch: Batch, key: Array) -> Outcome:
        change, order = jax.random.split(key)
        seen = batch if augment is None else augment(change, batch)
        result, after = whole_loss(detailing, parameters, statistics, seen, order, train=True)
        return Outcome(result.terms, after, result.metrics)

    alone = detailing._replace(same_detail="none")

    def judge(parameters: Parameters, statistics: Parameters, batch: Batch) -> dict[str, Array]:
        result, _ = whole_loss(alone, parameters, statistics, batch, jax.random.key(0), train=False)
        return {"loss": result.total, **result.terms, **result.metrics}

    judged = jax.jit(judge, compiler_options=CUBLAS)

    def evaluate(parameters: Parameters, statistics: Parameters) -> dict[str, float]:
        told = [jax.device_get(judged(parameters, statistics, batch)) for batch in held_out()]
        return {name: float(np.mean([one[name] for one in told])) for name in told[0]}

    drawn = jax.jit(lambda *state: _columns(detailing, *state), compiler_options=CUBLAS)

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
        is_trained=under(DETAIL, DECODER),
        show=show,
    )


def whole_loss(
    detailing: Detailing, parameters: Parameters, statistics: Parameters, batch: Batch, key: Array, *, train: bool
) -> tuple[Objective, Parameters]:
    """The whole loss of a batch, and the statistics after it. key: of the exchange of details."""
    seen = DetailBatch(as_floats(batch["images"]), batch.get("mask"))
    codes, told, after = _encoded(detailing, parameters, statistics, batch, train=train)
    if detailing.same_detail == "exchange":
        codes = doubled(codes, codes.replace(detail=exchanged(key, told, detailing.per_identity)))
        seen = doubled(seen, seen)
    maps, after[DECODER] = detailing.networks.displace(parameters, statistics, codes, train=train)
    return drawn_loss(detailing, codes, seen, displacement=maps), after


def _encoded(
    detailing: Detailing, parameters: Parameters, statistics: Parameters, batch: Batch, *, train: bool
) -> tuple[Codes, Array, dict[str, Any]]:
    """Codes, of which what is coarse is a given, those of detail once more, and the statistics after them."""
    images = as_floats(batch["images"])
    coarse, after = detailing.encoders.encode(
        parameters, statistics, images, trained=None, landmarks=batch.get("landmarks_mediapipe")
    )
    after = dict(after)
    told, after[DETAIL] = detailing.networks.encode(parameters, statistics, images, train=train)
    return lax.stop_gradient(coarse).replace(detail=told), told, after


def _columns(detailing: Detailing, parameters: Parameters, statistics: Parameters, batch: Batch) -> Array:
    codes, _, _ = _encoded(detailing, parameters, statistics, batch, train=False)
    maps, _ = detailing.networks.displace(parameters, statistics, codes, train=False)
    images = as_floats(batch["images"])
    return drawn_in_columns(
        detailing.head, codes, images, detail=detailing.model, displacement=maps, official=detailing.official
    )


def drawn_loss(
    detailing: Detailing,
    codes: Codes,
    seen: DetailBatch,
    *,
    displacement: Float[Array, "batch rows columns"] | None = None,
) -> Objective:
    """The whole loss of codes, decoded at the size of the images. displacement: None for what the model predicts."""
    found = decode(
        detailing.head, codes, seen.images.shape[-3:-1],
        detail=detailing.model, displacement=displacement, official=detailing.official,
    )  # fmt: skip
    return detail_objective(
        detailing.head, detailing.model, found, seen, detailing.vgg, detailing.weights, official=detailing.official
    )
