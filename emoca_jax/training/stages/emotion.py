"""Emotion recognisers: expression, valence and arousal from images, or from 3D codes (EMO-MLP).

Losses as EMOCA's emotion network and EMO-MLP have them (arXiv:2204.11312, supplementary material): negative
log-likelihood of the class and a random convex mix of mean squares, 1 - PCC and 1 - CCC of valence and arousal.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from emoca_jax.errors import InputError
from emoca_jax.losses.affect import (
    TERMS,
    expression_measures,
    mixing,
    share_between_views,
    valence_arousal_loss,
    valence_arousal_measures,
)
from emoca_jax.nets.emotion.affect import AffectRead, affect_alone
from emoca_jax.nets.emotion.emonet import EmoNet
from emoca_jax.nets.emotion.mlp import HIDDEN_FEATURES, HIDDEN_LAYERS, EmotionMLP
from emoca_jax.nets.emotion.on_open import SEEN, TRUNK, MapsReader, OpenFaceReader
from emoca_jax.nets.emotion.open import load_expression_networks
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from emoca_jax.nets.emotion.small import SmallFaceReader
from emoca_jax.nets.emotion.swin import EmotionSwin
from emoca_jax.nets.encoders import IMAGE_SIZE
from emoca_jax.training.loop import Stage
from emoca_jax.training.state import Parameters
from emoca_jax.training.step import Batch, Outcome

UNIT_SHARE = 10.0
"""Weight of the units' mean square: about .01 where they are guessed by their means; the likelihood is about 1."""
BYTE = 255.0
Start = Mapping[str, Any]
"""Kind of variables ("params", "batch_stats") -> parts of them, by their names at the root, to start from."""
Augment = Callable[[Key[Array, ""], Batch], Batch]


class Recogniser(NamedTuple):
    """A network and the entry of a batch that it sees."""

    module: nn.Module
    sees: str
    example: tuple[int, ...]
    """Shape of one example of it."""
    frozen: Parameters = MappingProxyType({})
    """Parameters that others trained and that stay, by their names at the root."""
    start: Start = MappingProxyType({})
    """Variables that others trained and that training begins with; random numbers in place of all others."""


IMAGE_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "small": SmallFaceReader,
    "resnet50": EmotionResNet50,
    "swin": EmotionSwin,
    "emonet": EmoNet,
    "on_open": OpenFaceReader,
}


def image_recogniser(name: str, *, size: int = IMAGE_SIZE, start: Start = MappingProxyType({})) -> Recogniser:
    """One of `IMAGE_NETWORKS` on `images` of `size` pixels, begun with `start`. Errors: InputError for another name."""
    if name not in IMAGE_NETWORKS:
        raise InputError(f"there is no network {name!r}; choose {', '.join(IMAGE_NETWORKS)}")
    frozen = {TRUNK: load_expression_networks()["params"]["dense"]} if name == "on_open" else {}
    return Recogniser(IMAGE_NETWORKS[name](), "images", (size, size, 3), frozen, start)


def maps_recogniser(*, start: Start = MappingProxyType({})) -> Recogniser:
    """The network "on_open" on `maps`: what its trunk has seen in pictures (`on_open.trunk_maps`)."""
    frozen = {TRUNK: load_expression_networks()["params"]["dense"]}
    return Recogniser(MapsReader(), "maps", (SEEN,), frozen, start)


def code_recogniser(codes: int, *, layers: int = HIDDEN_LAYERS, features: int = HIDDEN_FEATURES) -> Recogniser:
    """EMO-MLP on `codes`, so many to a face."""
    return Recogniser(EmotionMLP(layers, features), "codes", (codes,))


def emotion_stage(
    network: Recogniser,
    optimiser: optax.GradientTransformation,
    held_out: Callable[[], Iterable[dict[str, np.ndarray]]],
    *,
    augment: Augment | None = None,
    labelled: Callable[[Array], Array] = lambda rows: rows,
    views: int = 1,
    agreement: float = 0.0,
    unit_share: float = UNIT_SHARE,
) -> Stage:
    """The stage for batches of `images` (uint8), `codes` or `maps`, `expression`, `valence`, `arousal` and, where the
    network reads them, `units`.

    held_out: batches to judge on, all of one size. augment: of a batch, on the device, at random; may make what the
    network sees of other entries. labelled: picks of the network's rows those that have an `expression`; the others
    have units alone. views: of these, rows next to each other, which show the same of one face. agreement: weight of
    `share_between_views` of the network's features. unit_share: weight of the units' mean square.
    """
    agrees = functools.partial(_agreement, views=views, weight=agreement) if agreement else None
    return Stage(
        name=f"emotion ({type(network.module).__name__})",
        initial=lambda key: _initial(network, key),
        loss=functools.partial(_loss, network, augment, labelled, agrees, unit_share),
        optimiser=optimiser,
        evaluate=lambda parameters, statistics: evaluate(network, parameters, statistics, held_out()),
        metric="score",
        is_trained=lambda path: path[0] not in network.frozen,
    )


def evaluate(
    network: Recogniser, parameters: Parameters, statistics: Parameters, batches: Iterable[dict[str, np.ndarray]]
) -> dict[str, float]:
    """Measures over all faces of all batches: accuracy and likelihood of the expression, `losses.affect`'s of valence
    and arousal, the mean absolute error of units; `score` is the mean of accuracy and both concordances."""
    told: list[dict[str, np.ndarray]] = []
    truths: list[dict[str, np.ndarray]] = []
    for batch in batches:
        told.append(jax.device_get(_read(network.module, parameters, statistics, batch[network.sees])))
        truths.append(batch)
    read, truth = (
        {name: jnp.asarray(np.concatenate([part[name] for part in parts])) for name in parts[0]}
        for parts in (told, truths)
    )
    expression = expression_measures(read["logits"], truth["expression"].astype(jnp.int32))
    affect = valence_arousal_measures(
        read["valence"], read["arousal"], *(truth[name].astype(jnp.float32) for name in ("valence", "arousal"))
    )
    measures = {name: float(value) for name, value in affect.items()}
    measures |= {"accuracy": float(expression.accuracy), "nll": float(expression.nll)}
    if "units" in read and "units" in truth:
        measures["unit_error"] = float(jnp.abs(read["units"] - truth["units"]).mean())
    return measures | {"score": (measures["accuracy"] + measures["v_ccc"] + measures["a_ccc"]) / 3}


def _initial(network: Recogniser, key: Array) -> tuple[Parameters, Parameters]:
    variables = network.module.init(key, jnp.zeros((1, *network.example)))
    begun = {kind: {**(variables.get(kind) or {}), **network.start.get(kind, {})} for kind in ("params", "batch_stats")}
    return {**begun["params"], **network.frozen}, begun["batch_stats"]


def _loss(
    network: Recogniser,
    augment: Augment | None,
    labelled: Callable[[Array], Array],
    agrees: Callable[[AffectRead], dict[str, Array]] | None,
    unit_share: float,
    parameters: Parameters,
    statistics: Parameters,
    batch: Batch,
    key: Array,
) -> Outcome:
    mix, change, drop = jax.random.split(key, 3)
    if augment is not None:
        batch = augment(change, batch)
    seen = _as_input(batch[network.sees])
    variables = {"params": parameters, "batch_stats": statistics}
    result: Any = network.module.apply(variables, seen, train=True, mutable="batch_stats", rngs={"dropout": drop})
    read, changed = result
    affect = jax.tree.map(labelled, affect_alone(read))
    expression = expression_measures(affect.expression_logits, batch["expression"].astype(jnp.int32))
    measures = valence_arousal_measures(
        affect.valence,
        affect.arousal,
        batch["valence"].astype(jnp.float32),
        batch["arousal"].astype(jnp.float32),
    )
    factors = mixing("shake", draws=jax.random.uniform(mix, (len(TERMS),)))
    terms = {"nll": expression.nll, **valence_arousal_loss(measures, factors)}
    if read.unit_logits is not None and "units" in batch:
        strength = jax.nn.sigmoid(read.unit_logits)
        terms["units"] = unit_share * jnp.mean((strength - batch["units"].astype(jnp.float32)) ** 2)
    if agrees is not None:
        terms |= agrees(affect)
    told = {"accuracy": expression.accuracy} | {name: measures[name] for name in ("v_ccc", "a_ccc")}
    return Outcome(terms, changed.get("batch_stats", {}), told)


def _agreement(read: AffectRead, *, views: int, weight: float) -> dict[str, Array]:
    features = read.features.reshape(-1, views, read.features.shape[-1])
    return {"agreement": weight * share_between_views(features)}


@functools.partial(jax.jit, static_argnums=0)
def _read(module: nn.Module, parameters: Parameters, statistics: Parameters, seen: Array) -> dict[str, Array]:
    read: Any = module.apply({"params": parameters, "batch_stats": statistics}, _as_input(seen))
    told = {"logits": read.expression_logits, "valence": read.valence, "arousal": read.arousal}
    return told if read.unit_logits is None else told | {"units": jax.nn.sigmoid(read.unit_logits)}


def _as_input(seen: Array) -> Float[Array, "..."]:
    """Pictures travel as bytes; codes as they are."""
    return seen.astype(jnp.float32) / BYTE if seen.dtype == jnp.uint8 else seen
