"""Training steps of DECA's and EMOCA's stages, coarse and detail, for the open head and for FLAME."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import encoder_crops
from data_pipelines.found import FOUND
from emoca_jax.flame import load_head
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.emotion.on_open import OpenFaceReader
from emoca_jax.nets.emotion.open import DENSE_SIZE
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from emoca_jax.nets.resnet import ResNet50
from emoca_jax.nets.vgg import VGG19
from emoca_jax.objectives.coarse import Judges
from emoca_jax.objectives.emotion_eyes import ON_OPEN_EYE, OPEN_EYE
from scripts import train_coarse, train_detail
from tests.accelerators.inputs import (
    FLAME_FACES,
    FLAME_VERTICES,
    POINTS,
    SIDE,
    UV_SIDE,
    array,
    detail_model,
    flame_head,
    ones,
    open_model,
    variables,
)
from tests.accelerators.step_table import OF_RESNET, ON_EIGHT, Made, configured, made_of, training_step


def _coarse_on_drawings(config: str, *, judges: Judges | None = None) -> Made:
    chosen, head = configured(config), jax.device_put(load_head("open"))
    if judges is None:
        judges = Judges(emotion=open_model().expression, eye=OPEN_EYE) if chosen.weights.get("emotion") else Judges()
    encoders = train_coarse.open_encoders(chosen, head)

    def start(key: jax.Array) -> Any:
        flame = encoders.start(key)
        return encoders.with_expression(*flame) if chosen.trained == train_coarse.EXPRESSION else flame

    stage = train_coarse.stage_on_drawings(chosen, head, judges, start, list)
    side = chosen.data.side
    seen = {
        "image": ((side, side, 3), jnp.uint8), "place": ((3,), jnp.float32), FOUND: ((POINTS, 3), jnp.float32),
    }  # fmt: skip
    assert set(seen) == set(encoder_crops.KEPT)
    return made_of(chosen, stage, seen)


@training_step()
def deca_coarse_tiny() -> Made:
    return _coarse_on_drawings("open.deca_coarse_tiny")


@training_step(slow=("v5e",))
def emoca_coarse_tiny() -> Made:
    return _coarse_on_drawings("open.emoca_coarse_tiny")


@training_step()
def emoca_coarse_tiny_on_open() -> Made:
    """With what docs/reproduction.md trains to feel emotion."""
    seen = _made_up(ones(variables(OpenFaceReader(), array(1, DENSE_SIZE, DENSE_SIZE, 3))))
    return _coarse_on_drawings("open.emoca_coarse_tiny", judges=Judges(emotion=seen, eye=ON_OPEN_EYE))


@training_step(kept=4 * OF_RESNET)
def deca_pretrain_small() -> Made:
    return _coarse_on_drawings("open.deca_pretrain_small")


@training_step(kept=2 * OF_RESNET)
def deca_coarse_small() -> Made:
    return _coarse_on_drawings("open.deca_coarse_small")


@training_step(kept=2 * OF_RESNET)
def emoca_coarse_small() -> Made:
    return _coarse_on_drawings("open.emoca_coarse_small")


def _coarse_on_photos(config: str) -> Made:
    chosen = configured(config)
    encoders = train_coarse.official_encoders(chosen)

    def start(key: jax.Array) -> Any:
        flame = encoders.start(key)
        return encoders.with_expression(*flame) if chosen.trained == train_coarse.EXPRESSION else flame

    judges = Judges(
        emotion=_judge(EmotionResNet50()) if chosen.weights.get("emotion") else None,
        identity=_judge(ResNet50("vggface2")) if chosen.weights.get("identity") else None,
    )
    stage = train_coarse.stage_on_photos(chosen, made_up_flame(), jnp.ones((UV_SIDE, UV_SIDE)), judges, start, list)
    seen = {
        "image": ((chosen.data.side, chosen.data.side, 3), jnp.uint8), "landmarks": ((68, 2), jnp.float32),
    }  # fmt: skip
    return made_of(chosen, stage, seen)


@training_step(kept=2 * OF_RESNET)
def deca_pretrain() -> Made:
    return _coarse_on_photos("deca_pretrain")


@training_step(kept=2 * OF_RESNET)
def deca_coarse() -> Made:
    return _coarse_on_photos("deca_coarse")


@training_step(kept=2 * OF_RESNET)
def emoca_coarse() -> Made:
    return _coarse_on_photos("emoca_coarse")


def _detail_on_photos(config: str) -> Made:
    chosen = configured(config)
    # One person a chip: 6 photos do not go on eight.
    chosen.batch = ON_EIGHT * chosen.per_identity
    encoders = train_coarse.official_encoders(chosen)

    def start(key: jax.Array) -> Any:
        flame = encoders.start(key)
        coarse = encoders.with_expression(*flame) if chosen.name == "emoca_detail" else flame
        return train_detail.photo_networks(chosen).start(*coarse, key)

    model = _made_up(detail_model()).replace(decoder={}, blend=chosen.blend)
    stage = train_detail.stage_on_photos(chosen, made_up_flame(), model, _judge(VGG19()), start, list)
    side = chosen.data.side
    return made_of(chosen, stage, {"image": ((side, side, 3), jnp.uint8)})


@training_step(kept=8 * OF_RESNET)
def deca_detail() -> Made:
    return _detail_on_photos("deca_detail")


@training_step(kept=8 * OF_RESNET)
def emoca_detail() -> Made:
    return _detail_on_photos("emoca_detail")


def _detail_on_drawings(config: str) -> Made:
    chosen, head = configured(config), jax.device_put(load_head("open"))
    # At least one person a chip.
    chosen.batch = max(chosen.batch, ON_EIGHT * chosen.per_identity)
    encoders, networks = train_coarse.open_encoders(chosen, head), train_detail.drawing_networks(chosen, head)

    def start(key: jax.Array) -> Any:
        flame = encoders.start(key)
        coarse = encoders.with_expression(*flame) if chosen.name == "emoca_detail" else flame
        return networks.start(*coarse, key)

    stage = train_detail.stage_on_drawings(chosen, head, start, list)
    side = chosen.data.side
    seen = {
        "image": ((side, side, 3), jnp.uint8), "place": ((3,), jnp.float32), FOUND: ((POINTS, 3), jnp.float32),
    }  # fmt: skip
    return made_of(chosen, stage, seen)


@training_step()
def deca_detail_tiny() -> Made:
    return _detail_on_drawings("open.deca_detail_tiny")


@training_step()
def emoca_detail_tiny() -> Made:
    return _detail_on_drawings("open.emoca_detail_tiny")


@training_step(kept=8 * OF_RESNET)
def deca_detail_small() -> Made:
    return _detail_on_drawings("open.deca_detail_small")


@training_step(kept=8 * OF_RESNET)
def emoca_detail_small() -> Made:
    return _detail_on_drawings("open.emoca_detail_small")


def _judge(network: Any) -> Any:
    found = ones(variables(network, array(1, SIDE, SIDE, 3)))
    return _made_up(fold_batch_norms(found) if "batch_stats" in found else found)


@functools.cache
def made_up_flame() -> Any:
    """A head of FLAME's size that means nothing: a step holds its numbers, so there must be some."""
    return _made_up(flame_head())


def _made_up(tree: Any) -> Any:
    draw = np.random.default_rng(0)

    def numbers(leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.asarray(draw.normal(size=leaf.shape).astype(leaf.dtype))
        # Faces and vertices are numbered; both exist.
        return jnp.asarray(draw.integers(0, min(FLAME_VERTICES, FLAME_FACES), leaf.shape).astype(leaf.dtype))

    return jax.tree.map(numbers, tree)
