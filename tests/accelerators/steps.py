"""Every stage's whole training step, as its configuration has it, on eight chips."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import encoder_crops, photo_crops
from data_pipelines.found import FOUND
from data_pipelines.open_faces import crops
from emoca_jax.emotion.units import ARKIT_UNITS
from emoca_jax.flame import load_head
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.emotion.mlp import CODE_INPUTS
from emoca_jax.nets.emotion.on_open import OpenFaceReader
from emoca_jax.nets.emotion.open import DENSE_SIZE
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from emoca_jax.nets.resnet import ResNet50
from emoca_jax.nets.vgg import VGG19
from emoca_jax.objectives.coarse import Judges
from emoca_jax.objectives.emotion_eyes import ON_OPEN_EYE, OPEN_EYE
from emoca_jax.training.loop import Settings, Stage
from scripts import train_coarse, train_detail, train_recogniser
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

ON_EIGHT = 8
Made = tuple[Stage, dict[str, Any], Settings]


class TrainingStep(NamedTuple):
    """A stage with what a batch is like."""

    made: Callable[[], Made]
    slow: tuple[str, ...]
    """Targets that only a slow run compiles it for."""
    kept: int
    """Bytes on a chip of what networks keep for their gradients."""


STEPS: dict[str, TrainingStep] = {}
EVERYWHERE = ("h100", "v5e")
OF_RESNET = 4 * (64 << 20)
"""Bytes that a ResNet-50 keeps of four faces for its gradient: the maps of 224 pixels, each a few times."""


def _step(*, slow: tuple[str, ...] = EVERYWHERE, kept: int = 0) -> Callable[[Callable[[], Made]], None]:
    def enter(made: Callable[[], Made]) -> None:
        # Networks that are trained and networks that answer have the same names.
        STEPS[f"{made.__name__}_step"] = TrainingStep(made, slow, kept)

    return enter


def _config(name: str) -> Any:
    return importlib.import_module(f"configs.{name}").get_config()


def _made(config: Any, stage: Stage, entries: dict[str, Any]) -> Made:
    """entries: of one example, shape and kind."""
    batch = {name: array(config.batch, *shape, dtype=kind) for name, (shape, kind) in entries.items()}
    return stage, batch, Settings(**config.settings)


READ = {"expression": ((), jnp.int32), "valence": ((), jnp.float32), "arousal": ((), jnp.float32)}


@_step(slow=())
def emo_mlp(config: str = "open.emo_mlp") -> Made:
    chosen, units = _config(config), len(ARKIT_UNITS)
    stage = train_recogniser.stage_on_codes(chosen, units, list)
    return _made(chosen, stage, {"codes": ((units,), jnp.float32), **READ})


@_step()
def emo_mlp_of_flame() -> Made:
    chosen = _config("emo_mlp")
    stage = train_recogniser.stage_on_labelled_codes(chosen, CODE_INPUTS, list)
    return _made(chosen, stage, {"codes": ((CODE_INPUTS,), jnp.float32), **READ})


def _drawings(config: str) -> Made:
    chosen = _config(config)
    stage = train_recogniser.stage_on_drawings(chosen, tuple(ARKIT_UNITS), list)
    side = chosen.data.side
    seen = {
        "image": ((side, side, 3), jnp.uint8), "points": ((POINTS, 3), jnp.float32), "place": ((3,), jnp.float32),
        "units": ((len(ARKIT_UNITS),), jnp.float32), **READ,
    }  # fmt: skip
    assert set(seen) == set(crops.KEPT)
    return _made(chosen, stage, seen)


@_step()
def emotion_small() -> Made:
    return _drawings("open.emotion_small")


@_step()
def emotion_on_open() -> Made:
    return _drawings("open.emotion_on_open")


def _photos(config: str) -> Made:
    chosen = _config(config)
    stage = train_recogniser.stage_on_photos(chosen, {}, list)
    seen = {"image": ((chosen.data.side, chosen.data.side, 3), jnp.uint8), **READ}
    assert set(seen) == set(photo_crops.KEPT)
    return _made(chosen, stage, seen)


@_step(kept=2 * OF_RESNET)
def emotion_resnet50() -> Made:
    return _photos("emotion_resnet50")


@_step(kept=8 * OF_RESNET)
def emotion_swin() -> Made:
    return _photos("emotion_swin")


@_step(kept=8 * OF_RESNET)
def emotion_emonet() -> Made:
    return _photos("emotion_emonet")


def _coarse_on_drawings(config: str, *, judges: Judges | None = None) -> Made:
    chosen, head = _config(config), jax.device_put(load_head("open"))
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
    return _made(chosen, stage, seen)


@_step()
def deca_coarse_tiny() -> Made:
    return _coarse_on_drawings("open.deca_coarse_tiny")


@_step(slow=("v5e",))
def emoca_coarse_tiny() -> Made:
    return _coarse_on_drawings("open.emoca_coarse_tiny")


@_step()
def emoca_coarse_tiny_on_open() -> Made:
    """With what docs/reproduction.md trains to feel emotion."""
    seen = _made_up(ones(variables(OpenFaceReader(), array(1, DENSE_SIZE, DENSE_SIZE, 3))))
    return _coarse_on_drawings("open.emoca_coarse_tiny", judges=Judges(emotion=seen, eye=ON_OPEN_EYE))


def _coarse_on_photos(config: str) -> Made:
    chosen = _config(config)
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
    return _made(chosen, stage, seen)


@_step(kept=2 * OF_RESNET)
def deca_pretrain() -> Made:
    return _coarse_on_photos("deca_pretrain")


@_step(kept=2 * OF_RESNET)
def deca_coarse() -> Made:
    return _coarse_on_photos("deca_coarse")


@_step(kept=2 * OF_RESNET)
def emoca_coarse() -> Made:
    return _coarse_on_photos("emoca_coarse")


def _detail_on_photos(config: str) -> Made:
    chosen = _config(config)
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
    return _made(chosen, stage, {"image": ((side, side, 3), jnp.uint8)})


@_step(kept=8 * OF_RESNET)
def deca_detail() -> Made:
    return _detail_on_photos("deca_detail")


@_step(kept=8 * OF_RESNET)
def emoca_detail() -> Made:
    return _detail_on_photos("emoca_detail")


def _detail_on_drawings(config: str) -> Made:
    chosen, head = _config(config), jax.device_put(load_head("open"))
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
    return _made(chosen, stage, seen)


@_step()
def deca_detail_tiny() -> Made:
    return _detail_on_drawings("open.deca_detail_tiny")


@_step()
def emoca_detail_tiny() -> Made:
    return _detail_on_drawings("open.emoca_detail_tiny")


@_step(kept=8 * OF_RESNET)
def deca_detail_small() -> Made:
    return _detail_on_drawings("open.deca_detail_small")


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
