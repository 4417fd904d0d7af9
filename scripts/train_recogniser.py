"""The stages of scripts/train.py that learn to read emotion: from codes, from drawings, from labelled photos.

A stage is made apart from its data, so that it can be compiled without any (tests/accelerators/steps_of_*.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Array, Key

from data_pipelines import photo_crops
from data_pipelines.augment import BLOCK, Amounts
from data_pipelines.in_turn import InTurn
from data_pipelines.loader import Batching, batches
from data_pipelines.open_faces import crops
from data_pipelines.open_faces.codes import TELLERS, Misfit, as_told, coded_faces, laws_of_file
from data_pipelines.open_faces.crops import KeptBatches
from data_pipelines.pseudo_labels.labelled import labelled_codes
from data_pipelines.rendered_looks import LABELLED, labelled_alone, labelled_rows, load_looks, views_as_faces
from data_pipelines.sources import Joined, open_records, splits_of_folder
from emoca_jax.errors import InputError
from emoca_jax.flame import load_head
from emoca_jax.model_folder import read_model_folder
from emoca_jax.nets.emotion.on_open import HEAD
from emoca_jax.objectives.emotion_eyes import ON_OPEN_EYE, eye_of
from emoca_jax.training.checkpoint import Batches
from emoca_jax.training.devices import on_many
from emoca_jax.training.in_memory import InMemory
from emoca_jax.training.loop import Stage
from emoca_jax.training.stages.emotion import (
    Recogniser,
    Start,
    code_recogniser,
    emotion_stage,
    image_recogniser,
    maps_recogniser,
)
from emoca_jax.training.step import Batch
from scripts.train_coarse import variables_of

STARTS = {"resnet50": "identity_resnet50", "swin": "emotion_swin", "emonet": "emonet"}
"""Network -> the part of a converted folder from which its training starts: VGGFace2's, or what was trained before."""
CROP_STEP = 16
"""The small network halves a picture four times, and JPEG has blocks of 8."""
Config = Any
"""An `ml_collections.ConfigDict`."""
HeldOut = Callable[[], Iterable[dict[str, np.ndarray]]]


def emotion_from_codes(config: Config) -> tuple[Stage, Batches]:
    """EMO-MLP on the open head's units."""
    head = load_head("open")
    examples = coded_faces(head, config.data.seed, config.data.train)
    held_out = coded_faces(head, config.data.held_out_seed, config.data.held_out)
    part = {"process": jax.process_index(), "processes": jax.process_count()}
    training = InMemory(examples, config.batch, seed=config.settings.seed, **part)
    return stage_on_codes(config, examples["codes"].shape[1], lambda: [held_out]), training


def stage_on_codes(config: Config, codes: int, held_out: HeldOut) -> Stage:
    """The stage, whatever its data are; so many codes to a face."""
    misfit, laws = Misfit(**config.misfit), laws_of_file(config.fits) if config.fits else ()
    shares = tuple(config.told[name] for name in TELLERS) if laws else ()

    def told(key: Key[Array, ""], batch: Batch) -> Batch:
        return {**batch, "codes": as_told(key, batch["codes"], misfit, laws, shares)}

    network = code_recogniser(codes, **config.network)
    return emotion_stage(network, optax.adam(config.rate), held_out, augment=told)


def emotion_from_labelled_codes(config: Config) -> tuple[Stage, Batches]:
    """EMO-MLP on FLAME's codes of photos that people have labelled."""
    data = config.data
    splits = splits_of_folder(data.name, manual_dir=data.folder)
    for split in (data.train, data.held_out):
        if split not in splits:
            raise InputError(f"{data.name} has no split {split!r}; choose {', '.join(splits)}")
    examples, held_out = (
        labelled_codes(splits[split], data.labels, detail=config.detail) for split in (data.train, data.held_out)
    )
    part = {"process": jax.process_index(), "processes": jax.process_count()}
    training = InTurn(examples, config.batch, by="expression", seed=config.settings.seed, **part)
    return stage_on_labelled_codes(config, examples["codes"].shape[1], lambda: [held_out]), training


def stage_on_labelled_codes(config: Config, codes: int, held_out: HeldOut) -> Stage:
    """The stage, whatever its data are; so many codes to a face."""
    return emotion_stage(code_recogniser(codes, **config.network), optax.adam(config.rate), held_out)


def emotion_from_drawings(config: Config) -> tuple[Stage, Batches]:
    """A recogniser of pictures on packaged open faces."""
    data = config.data
    if config.crop % CROP_STEP:
        raise InputError(f"config.crop is {config.crop}; give a multiple of {CROP_STEP} pixels")
    batching = Batching(
        size=config.batch // jax.process_count(), seed=config.settings.seed, side=data.side, margin=None,
        threads=data.threads, ahead=data.ahead,
    )  # fmt: skip
    sources = [open_records("open_faces", "train", data_dir=folder) for folder in data.train]
    training = KeptBatches(iter(batches(Joined(sources), batching)))
    others = open_records("open_faces", "validation", data_dir=data.held_out)
    once = Batching(size=config.batch, side=data.side, margin=None, epochs=1, threads=1, processes=1, process=0)
    if len(others) < config.batch:
        raise InputError(f"{data.held_out} holds out {len(others)} faces; a batch takes {config.batch}: package more")
    judged = crops.held_out(KeptBatches(iter(batches(others, once))), size=config.crop)
    return stage_on_drawings(config, load_head("open").expression_names, lambda: judged), training


def stage_on_drawings(config: Config, names: tuple[str, ...], held_out: HeldOut) -> Stage:
    """The stage, whatever its data are. names: of the units."""
    amounts = Amounts(**config.augment)
    augment = functools.partial(crops.as_trained_on, names=names, size=config.crop, amounts=amounts)
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.rate, config.warm_up, config.schedule)
    optimiser = optax.adamw(schedule, weight_decay=config.weight_decay)
    return emotion_stage(image_recogniser(config.network, size=config.crop), optimiser, held_out, augment=augment)


def emotion_from_looks(config: Config) -> tuple[Stage, Batches]:
    """A recogniser of what its frozen trunk saw in photos and renderings of drawn faces."""
    data = config.data
    looks = [load_looks(Path(place)) for place in data.train]
    if not looks:
        raise InputError("give config.data.train files of scripts/look_at_renderings.py")
    examples = {
        name: np.concatenate(parts) for name, parts in zip(looks[0]._fields, zip(*looks, strict=True), strict=True)
    }
    judged = labelled_alone(views_as_faces(load_looks(Path(data.held_out))._asdict()))
    part = {"process": jax.process_index(), "processes": jax.process_count()}
    training = InMemory(examples, config.batch, seed=config.settings.seed, **part)
    return stage_on_looks(config, maps_recogniser(start=trained_before(config.start)), lambda: [judged]), training


def stage_on_looks(config: Config, network: Recogniser, held_out: HeldOut) -> Stage:
    """The stage, whatever its data are."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.rate, config.warm_up, config.schedule)
    optimiser = optax.adamw(schedule, weight_decay=config.weight_decay)
    # One device has the order in which the recogniser of docs/reproduction.md learned; many send no view to another.
    return emotion_stage(
        network, optimiser, held_out, augment=lambda key, batch: views_as_faces(batch, together=on_many()),
        labelled=lambda rows: labelled_rows(rows, together=on_many()),
        views=LABELLED, agreement=config.agreement, unit_share=config.unit_share,
    )  # fmt: skip


def trained_before(run: str) -> Start:
    """What a run of configs/open/emotion_on_open.py left, to go on from."""
    if not run:
        return {}
    variables = variables_of(run)
    if eye_of(variables) is not ON_OPEN_EYE:
        raise InputError(f"{run}: is no run of configs/open/emotion_on_open.py")
    return {kind: {HEAD: variables[kind][HEAD]} for kind in ("params", "batch_stats")}


def emotion_from_photos(config: Config) -> tuple[Stage, Batches]:
    """A recogniser of packaged photos that have an expression, valence and arousal."""
    data = config.data
    if config.crop % BLOCK:
        raise InputError(f"config.crop is {config.crop}; give a multiple of {BLOCK} pixels")
    seen = {"side": data.side, "margin": data.margin, "threads": data.threads, "ahead": data.ahead}
    source = open_records(data.name, data.train, data_dir=data.folder)
    size = config.batch // jax.process_count()
    shuffled = Batching(size=size, seed=config.settings.seed, balance="expression", **seen)
    training = KeptBatches(iter(batches(source, shuffled)), kept=photo_crops.KEPT)
    others = open_records(data.name, data.held_out, data_dir=data.folder)
    once = Batching(size=data.judged_at_once, epochs=1, processes=1, process=0, **seen)
    if len(others) < once.size:
        raise InputError(f"{data.name} holds out {len(others)} photos, fewer than config.data.judged_at_once")

    def judged() -> Iterator[dict[str, np.ndarray]]:
        return photo_crops.held_out(iter(batches(others, once)), size=config.crop, margin=data.margin)

    return stage_on_photos(config, _start(config), judged), training


def stage_on_photos(config: Config, start: Start, held_out: HeldOut) -> Stage:
    """The stage, whatever its data are."""
    augment = functools.partial(
        photo_crops.as_trained_on, size=config.crop, margin=config.data.margin, amounts=Amounts(**config.augment)
    )
    network = image_recogniser(config.network, size=config.crop, start=start)
    return emotion_stage(network, optax.adam(config.rate), held_out, augment=augment)


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
