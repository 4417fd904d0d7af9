"""Training steps of what reads emotion, from codes, drawings, photos and kept looks."""

from __future__ import annotations

import jax.numpy as jnp

from data_pipelines import photo_crops
from data_pipelines.open_faces import crops
from data_pipelines.rendered_looks import VIEWS
from emoca_jax.emotion.units import ARKIT_UNITS
from emoca_jax.nets.emotion.mlp import CODE_INPUTS
from emoca_jax.nets.emotion.on_open import SEEN
from emoca_jax.training.stages.emotion import maps_recogniser
from scripts import train_recogniser
from tests.accelerators.inputs import POINTS
from tests.accelerators.step_table import OF_RESNET, ON_EIGHT, Made, configured, made_of, training_step

READ = {"expression": ((), jnp.int32), "valence": ((), jnp.float32), "arousal": ((), jnp.float32)}


@training_step(slow=())
def emo_mlp(config: str = "open.emo_mlp") -> Made:
    chosen, units = configured(config), len(ARKIT_UNITS)
    stage = train_recogniser.stage_on_codes(chosen, units, list)
    return made_of(chosen, stage, {"codes": ((units,), jnp.float32), **READ})


@training_step()
def emo_mlp_of_flame() -> Made:
    chosen = configured("emo_mlp")
    stage = train_recogniser.stage_on_labelled_codes(chosen, CODE_INPUTS, list)
    return made_of(chosen, stage, {"codes": ((CODE_INPUTS,), jnp.float32), **READ})


def _drawings(config: str) -> Made:
    chosen = configured(config)
    stage = train_recogniser.stage_on_drawings(chosen, tuple(ARKIT_UNITS), list)
    side = chosen.data.side
    seen = {
        "image": ((side, side, 3), jnp.uint8), "points": ((POINTS, 3), jnp.float32), "place": ((3,), jnp.float32),
        "units": ((len(ARKIT_UNITS),), jnp.float32), **READ,
    }  # fmt: skip
    assert set(seen) == set(crops.KEPT)
    return made_of(chosen, stage, seen)


@training_step()
def emotion_small() -> Made:
    return _drawings("open.emotion_small")


@training_step()
def emotion_on_open() -> Made:
    return _drawings("open.emotion_on_open")


@training_step()
def emotion_on_renderings() -> Made:
    chosen = configured("open.emotion_on_renderings")
    # 36 looks do not go on eight.
    chosen.batch = 5 * ON_EIGHT
    stage = train_recogniser.stage_on_looks(chosen, maps_recogniser(), list)
    views = {"maps": ((len(VIEWS), SEEN), jnp.float16), "units": ((len(VIEWS), len(ARKIT_UNITS)), jnp.float32)}
    return made_of(chosen, stage, {**views, **READ})


def _photos(config: str) -> Made:
    chosen = configured(config)
    stage = train_recogniser.stage_on_photos(chosen, {}, list)
    seen = {"image": ((chosen.data.side, chosen.data.side, 3), jnp.uint8), **READ}
    assert set(seen) == set(photo_crops.KEPT)
    return made_of(chosen, stage, seen)


@training_step(kept=2 * OF_RESNET)
def emotion_resnet50() -> Made:
    return _photos("emotion_resnet50")


@training_step(kept=8 * OF_RESNET)
def emotion_swin() -> Made:
    return _photos("emotion_swin")


@training_step(kept=8 * OF_RESNET)
def emotion_emonet() -> Made:
    return _photos("emotion_emonet")
