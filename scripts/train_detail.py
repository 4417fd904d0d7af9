"""The detail stages of a configuration: E_detail and D_detail on photos of known people (see scripts/train.py)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from data_pipelines import encoder_crops
from data_pipelines.augment import Amounts
from emoca_jax.detail import DetailModel, detail_model
from emoca_jax.errors import InputError
from emoca_jax.flame import load_head
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.open_detail import open_detail_model
from emoca_jax.model_folder import ModelFolder, read_model_folder
from emoca_jax.training.checkpoint import Batches
from emoca_jax.training.loop import Stage
from emoca_jax.training.stages.detail import Detailing, detail_stage
from emoca_jax.training.stages.detail_networks import DECODER, DETAIL, DetailNetworks, open_detail_networks
from emoca_jax.training.stages.encoders import EXPRESSION, FLAME, Encoders
from scripts.train_coarse import (
    READER,
    official_encoders,
    open_encoders,
    packaged_drawings,
    packaged_photos,
    photo_crops_of,
    started_from,
    variables_of,
)

Config = Any
PARTS = {
    FLAME: "flame_encoder", EXPRESSION: "expression_encoder", DETAIL: "detail_encoder", DECODER: "detail_decoder",
}  # fmt: skip
"""Where a network's variables lie while training -> the part of a converted folder."""


def detail_on_photos(config: Config) -> tuple[Stage, Batches]:
    """E_detail and D_detail for FLAME, on packaged photos of known people; no landmarks are needed."""
    training, held_out = packaged_photos(config, official_encoders(config).size, kept=("image",))
    return stage_of_folder(config, read_model_folder(config.model), held_out), training


def stage_of_folder(
    config: Config, folder: ModelFolder, held_out: Callable[[], Iterable[dict[str, np.ndarray]]]
) -> Stage:
    """The stage with all that a converted folder has for it: head, maps, VGG-19 and networks to start from."""
    head = jax.device_put(folder.head)
    mask, fixed = folder.map("face_eye_mask"), folder.map("fixed_displacement")
    model = detail_model(head, {}, mask, fixed, blend=config.blend, official=config.official)
    vgg = jax.device_put(folder.variables("vgg19")) if config.weights.get("mrf") else None
    return stage_on_photos(config, head, model, vgg, functools.partial(started, config, folder), held_out)


def stage_on_photos(
    config: Config, head: FaceHead, model: DetailModel, vgg: Any, start: Any,
    held_out: Callable[[], Iterable[dict[str, np.ndarray]]],
) -> Stage:  # fmt: skip
    """The stage, whatever its data are."""
    encoders = official_encoders(config)
    weights = {name: weight for name, weight in config.weights.items() if weight}
    detailing = Detailing(
        head, encoders, model, weights, vgg, same_detail=config.same_detail, per_identity=config.per_identity,
        networks=photo_networks(config), official=config.official,
    )  # fmt: skip
    augment = functools.partial(photo_crops_of(config, encoders.size), amounts=Amounts(**config.augment))
    return detail_stage(config.name, detailing, start, optax.adam(config.rate), held_out, augment=augment)


def started(config: Config, folder: ModelFolder, key: jax.Array) -> Any:
    """The coarse encoders of a run, else of the converted folder; its detail networks, if wanted and there, or new."""
    encoders = official_encoders(config)
    parameters: dict[str, Any] = {}
    statistics: dict[str, Any] = {}
    for name, part in PARTS.items():
        wanted = config.start_detail if name in (DETAIL, DECODER) else not config.start
        if wanted and folder.has(part):
            variables = jax.device_put(folder.variables(part))
            parameters[name], statistics[name] = variables["params"], variables["batch_stats"]
    if config.start:
        run = started_from(config.start, encoders, FLAME)
        parameters, statistics = {**parameters, **run[0]}, {**statistics, **run[1]}
    if FLAME not in parameters:
        raise InputError(f"{config.model} has no E_flame: convert DECA's or EMOCA's, or give --config.start=RUN")
    return photo_networks(config).start(jax.tree.map(jnp.asarray, parameters), statistics, key)


def photo_networks(config: Config) -> DetailNetworks:
    """The papers' networks, in the coarse encoders' number format."""
    encoders = official_encoders(config)
    return DetailNetworks(size=encoders.size, dtype=encoders.dtype)


def detail_on_drawings(config: Config) -> tuple[Stage, Batches]:
    """E_detail and D_detail for the open head, on packaged open faces in which our detector has looked for faces."""
    head = jax.device_put(load_head("open"))
    encoders = open_encoders(config, head)
    training, judged = packaged_drawings(config, encoders.size)
    start = functools.partial(started_on_drawings, config, head, encoders)
    return stage_on_drawings(config, head, start, lambda: judged), training


def stage_on_drawings(
    config: Config, head: FaceHead, start: Any, held_out: Callable[[], Iterable[dict[str, np.ndarray]]]
) -> Stage:
    """The stage, whatever its data are."""
    encoders, networks = open_encoders(config, head), drawing_networks(config, head)
    weights = {name: weight for name, weight in config.weights.items() if weight}
    detailing = Detailing(
        head, encoders, open_detail_model(head, {}, size=networks.side), weights,
        same_detail=config.same_detail, per_identity=config.per_identity, networks=networks,
    )  # fmt: skip
    augment = functools.partial(encoder_crops.as_trained_on, size=encoders.size, amounts=Amounts(**config.augment))
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.rate, config.warm_up, config.schedule)
    return detail_stage(config.name, detailing, start, optax.adam(schedule), held_out, augment=augment)


def drawing_networks(config: Config, head: FaceHead) -> DetailNetworks:
    """Those of a configuration's backbone: a reader of the frozen trunk and a small decoder, or ResNet-50 and all."""
    reads = config.backbone == READER
    return open_detail_networks(
        head, reads_trunk=reads, blocks=tuple(config.blocks), dtype=jnp.float32 if reads else jnp.bfloat16
    )


def started_on_drawings(config: Config, head: FaceHead, encoders: Encoders, key: jax.Array) -> Any:
    """The coarse encoders of one run; detail networks of another, where it is named, or new ones."""
    if not config.start:
        raise InputError("wrinkles are learned on a coarse face: give --config.start=FOLDER of a coarse run")
    parameters, statistics = (dict(part) for part in started_from(config.start, encoders, FLAME))
    if config.start_detail:
        begun = variables_of(config.start_detail)
        for name in (DETAIL, DECODER):
            if name not in begun["params"]:
                raise InputError(f"{config.start_detail}: is no run of a detail stage: its network has no {name!r}")
            parameters[name], statistics[name] = (
                jax.device_put(begun[collection][name]) for collection in ("params", "batch_stats")
            )
    return drawing_networks(config, head).start(parameters, statistics, key)
