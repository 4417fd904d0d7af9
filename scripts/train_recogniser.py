"""The stage of scripts/train.py that reads labelled photos: ResNet-50, Swin-B and EmoNet on AffectNet."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax

from data_pipelines.augment import BLOCK, Amounts
from data_pipelines.loader import Batching, batches
from data_pipelines.open_faces.crops import KeptBatches
from data_pipelines.photo_crops import KEPT, as_trained_on, held_out
from data_pipelines.sources import open_records
from emoca_jax.errors import InputError
from emoca_jax.model_folder import read_model_folder
from emoca_jax.training.checkpoint import Batches
from emoca_jax.training.loop import Stage
from emoca_jax.training.stages.emotion import Start, emotion_stage, image_recogniser

STARTS = {"resnet50": "identity_resnet50", "swin": "emotion_swin", "emonet": "emonet"}
"""Network -> the part of a converted folder from which its training starts: VGGFace2's, or what was trained before."""
Config = Any
"""An `ml_collections.ConfigDict`."""


def emotion_from_photos(config: Config) -> tuple[Stage, Batches]:
    """A recogniser of packaged photos that have an expression, valence and arousal."""
    data = config.data
    if config.crop % BLOCK:
        raise InputError(f"config.crop is {config.crop}; give a multiple of {BLOCK} pixels")
    seen = {"side": data.side, "margin": data.margin, "threads": data.threads, "ahead": data.ahead}
    source = open_records(data.name, data.train, data_dir=data.folder)
    size = config.batch // jax.process_count()
    shuffled = Batching(size=size, seed=config.settings.seed, balance="expression", **seen)
    training = KeptBatches(iter(batches(source, shuffled)), kept=KEPT)
    others = open_records(data.name, data.held_out, data_dir=data.folder)
    once = Batching(size=data.judged_at_once, epochs=1, processes=1, process=0, **seen)
    if len(others) < once.size:
        raise InputError(f"{data.name} holds out {len(others)} photos, fewer than config.data.judged_at_once")

    def judged() -> Iterator[dict[str, np.ndarray]]:
        return held_out(iter(batches(others, once)), size=config.crop, margin=data.margin)

    augment = functools.partial(as_trained_on, size=config.crop, margin=data.margin, amounts=Amounts(**config.augment))
    network = image_recogniser(config.network, size=config.crop, start=_start(config))
    return emotion_stage(network, optax.adam(config.rate), judged, augment=augment), training


def _start(config: Config) -> Start:
    """Variables that the network starts from, where the configuration names a converted folder."""
    if not config.start:
        return {}
    if config.network not in STARTS:
        raise InputError(f"{config.network} starts from nothing; leave config.start out")
    folder, part = read_model_folder(config.start), STARTS[config.network]
    if not folder.has(part):
        raise InputError(f"{config.start} has no {part}, from which {config.network} starts; see emoca fetch-help")
    variables = folder.variables(part)
    return {kind: {"trunk": tree} for kind, tree in variables.items()} if part == "identity_resnet50" else variables
