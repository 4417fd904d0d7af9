"""The coarse stages of a configuration: E_flame, then E_expression, on packaged faces (see scripts/train.py)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import unflatten_dict

from data_pipelines import encoder_crops
from data_pipelines.augment import Amounts
from data_pipelines.found import open_found, open_found_photos
from data_pipelines.loader import Batching
from data_pipelines.loader import batches as loaded
from data_pipelines.open_faces.crops import KeptBatches
from data_pipelines.sources import Joined, open_records
from emoca_jax.errors import InputError
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.flame import load_head
from emoca_jax.flame.head import FaceHead
from emoca_jax.flame.head_file import load_albedo
from emoca_jax.jobs.landmark_encoders import found_at, landmark_encoders
from emoca_jax.model_folder import ModelFolder, read_model_folder
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.emotion.open import load_expression_networks
from emoca_jax.nets.open_encoder import LEVEL
from emoca_jax.objectives.coarse import EMOTION_TERMS, Judges
from emoca_jax.objectives.emotion_eyes import EYES, eye_of
from emoca_jax.training.checkpoint import Batches
from emoca_jax.training.loop import Stage
from emoca_jax.training.stages.coarse import Coarse, coarse_stage
from emoca_jax.training.stages.encoders import (
    EXPRESSION,
    FLAME,
    Encoders,
    OfficialEncoders,
    OpenResNets,
)

Config = Any
NETWORK = "network.npz"
"""What a run that came to its end leaves: every variable by its path."""
DECA_ALBEDO = "albedo_bfm"
"""The part of a converted folder with DECA's colours."""
READER = "reader"
RESNET = "resnet50"
"""What the open head's encoders are made of, by `config.backbone`: READER is what ships, and readers beside it."""


def coarse_on_drawings(config: Config) -> tuple[Stage, Batches]:
    """E_flame or E_expression for the open head, on packaged open faces in which our detector has looked for faces."""
    head = jax.device_put(load_head("open"))
    encoders = open_encoders(config, head)
    training, judged = packaged_drawings(config, encoders.size)
    start = started_from(config.start, encoders, config.trained)
    if isinstance(start, tuple) and EXPRESSION in start[1] and (LEVEL in start[1][EXPRESSION]) != config.level:
        raise InputError(f"{config.start}: its E_expression is {'not ' * config.level}level; give config.level alike")
    return stage_on_drawings(config, head, open_judges(config), start, lambda: judged), training


def packaged_drawings(config: Config, size: int) -> tuple[KeptBatches, list[dict[str, np.ndarray]]]:
    """Batches of open faces to train on, and all found faces to judge on, cut out at `size` pixels a side."""
    data = config.data
    groups_stay_together(config)
    together = Joined([open_found("open_faces", "train", data_dir=folder) for folder in data.train])
    batching = Batching(
        size=config.batch // jax.process_count(), seed=config.settings.seed, side=data.side, margin=None,
        threads=data.threads, ahead=data.ahead, **_grouped(config),
    )  # fmt: skip
    training = KeptBatches(iter(loaded(together, batching)), kept=encoder_crops.KEPT)
    return training, faces_to_judge_on(data.held_out, "validation", batch=config.batch, side=data.side, size=size)


def open_encoders(config: Config, head: FaceHead) -> Encoders:
    """Errors: InputError where the configuration names none."""
    if config.backbone not in (READER, RESNET):
        raise InputError(f"config.backbone is {config.backbone!r}; there are {READER}, {RESNET}")
    if config.backbone == RESNET:
        if config.level:
            raise InputError(f"config.level is for the {READER!r} backbone; leave it out with {RESNET!r}")
        return OpenResNets(head)
    return landmark_encoders(head, landmark_model(head), seed=config.settings.seed, level=config.level)


def stage_on_drawings(
    config: Config, head: FaceHead, judges: Judges, start: Any, held_out: Callable[[], Iterable[dict[str, np.ndarray]]]
) -> Stage:
    """The stage, whatever its data are."""
    encoders = open_encoders(config, head)
    # A term without weight is not even computed.
    weights = {name: weight for name, weight in config.weights.items() if weight}
    lagging = functools.partial(found_at, head, landmark_model(head)) if config.backbone == READER else None
    coarse = Coarse(
        head, encoders, config.trained, weights, judges, mask_kind=config.mask_kind, found_at=lagging,
        same_shape=config.same_shape, per_identity=config.per_identity,
    )  # fmt: skip
    augment = functools.partial(encoder_crops.as_trained_on, size=encoders.size, amounts=Amounts(**config.augment))
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.rate, config.warm_up, config.schedule)
    return coarse_stage(config.name, coarse, start, optax.adam(schedule), held_out, augment=augment)


def coarse_on_photos(config: Config) -> tuple[Stage, Batches]:
    """E_flame or E_expression for FLAME, on a packaged dataset of photos with 68 landmarks, from a converted folder."""
    training, held_out = packaged_photos(config, official_encoders(config).size)
    return stage_of_folder(config, read_model_folder(config.model), held_out), training


def stage_of_folder(
    config: Config, folder: ModelFolder, held_out: Callable[[], Iterable[dict[str, np.ndarray]]]
) -> Stage:
    """The stage with all that a converted folder has for it: head, mask, networks to start from and to judge."""
    judges = Judges(
        emotion=_frozen(folder, "emotion_resnet50") if config.weights.get("emotion") else None,
        identity=_frozen(folder, "identity_resnet50") if config.weights.get("identity") else None,
    )
    head, mask = jax.device_put(official_head(folder)), jnp.asarray(folder.map("face_eye_mask"))
    start = official_start(folder, official_encoders(config), config)
    return stage_on_photos(config, head, mask, judges, start, held_out)


def stage_on_photos(
    config: Config, head: FaceHead, uv_mask: Any, judges: Judges, start: Any,
    held_out: Callable[[], Iterable[dict[str, np.ndarray]]],
) -> Stage:  # fmt: skip
    """The stage, whatever its data are."""
    encoders = official_encoders(config)
    weights = {name: weight for name, weight in config.weights.items() if weight}
    coarse = Coarse(
        head, encoders, config.trained, weights, judges, mask_kind=config.mask_kind, uv_mask=uv_mask,
        same_shape=config.same_shape, per_identity=config.per_identity, official=config.official,
    )  # fmt: skip
    augment = functools.partial(photo_crops_of(config, encoders.size), amounts=Amounts(**config.augment))
    return coarse_stage(config.name, coarse, start, optax.adam(config.rate), held_out, augment=augment)


def official_encoders(config: Config) -> OfficialEncoders:
    """EMOCA's, computing in what the configuration says."""
    return OfficialEncoders(dtype=jnp.bfloat16 if config.bfloat16 else jnp.float32)


def photo_crops_of(config: Config, size: int) -> Callable[..., Any]:
    """What cuts crops of so many pixels out of the loader's squares, by `amounts` at random."""
    return functools.partial(encoder_crops.as_trained_on_photos, size=size, margin=config.data.margin)


def packaged_photos(
    config: Config, size: int, *, kept: tuple[str, ...] = ("image", "landmarks")
) -> tuple[KeptBatches, Callable[[], Iterator[dict[str, Any]]]]:
    """Batches of the datasets to train on, and what cuts out those to judge on, as they are at inference."""
    data = config.data
    groups_stay_together(config)
    batching = Batching(
        size=config.batch // jax.process_count(), seed=config.settings.seed, side=data.side, margin=data.margin,
        threads=data.threads, ahead=data.ahead, **_grouped(config),
    )  # fmt: skip
    opened = open_found_photos if data.found else open_records
    sources = [opened(name, data.split, data_dir=data.folder) for name in data.names]
    others = opened(data.names[0], data.held_out, data_dir=data.folder)
    for name, source in zip((*data.names, data.names[0]), (*sources, others), strict=True):
        lacking = [entry for entry in kept if entry not in source[0]]
        if lacking:
            raise InputError(
                f"samples of {name} have no {' and no '.join(lacking)}, which the coarse stages compare with; look for "
                f"them with python -m data_pipelines.found {name} {data.split} --data_dir {data.folder}, and give "
                "--config.data.found=True"
            )
    if len(others) < config.batch:
        raise InputError(f"{data.names[0]} holds out {len(others)} samples; a batch takes {config.batch}")
    still = functools.partial(photo_crops_of(config, size), amounts=Amounts(turn=0, zoom=0, shift=0))

    def held_out() -> Iterator[dict[str, Any]]:
        once = Batching(size=config.batch, side=data.side, margin=data.margin, epochs=1, processes=1, process=0)
        for batch in KeptBatches(iter(loaded(others, once)), kept=kept):
            yield still(jax.random.key(0), jax.device_put(batch))

    return KeptBatches(iter(loaded(Joined(sources), batching)), kept=kept), held_out


def _grouped(config: Config) -> dict[str, Any]:
    return {"group": "identity", "per_group": config.per_identity} if config.per_identity > 1 else {}


def groups_stay_together(config: Config) -> None:
    """Errors: InputError where photos of one person would be torn apart."""
    # Coarse stages share shapes, detail stages details.
    name = "same_detail" if "same_detail" in config else "same_shape"
    if config[name] != "none" and config.settings.accumulate > 1:
        raise InputError(f"accumulate cuts a batch between photos of one person: leave it at 1, or {name} at 'none'")


def official_head(folder: ModelFolder) -> FaceHead:
    """The folder's head; with BFM's albedo, which DECA learned with, where no model of the folder names another."""
    if folder.name is None and folder.has(DECA_ALBEDO):
        return folder.head.replace(albedo=load_albedo(folder.file(DECA_ALBEDO)))
    return folder.head


def official_start(folder: ModelFolder, encoders: OfficialEncoders, config: Config) -> Any:
    """A run's networks; else the converted folder's, if wanted and there; else what has learned nothing."""
    has_one = folder.name is not None and folder.has("flame_encoder")
    if config.start or not (config.start_flame and has_one):
        return started_from(config.start, encoders, config.trained)
    flame = jax.device_put(folder.variables("flame_encoder"))
    begin = ({FLAME: flame["params"]}, {FLAME: flame["batch_stats"]})
    return encoders.with_expression(*begin) if config.trained == EXPRESSION else begin


def _frozen(folder: ModelFolder, part: str) -> dict:
    return jax.device_put(fold_batch_norms(folder.variables(part)))


def faces_to_judge_on(folder: str, split: str, *, batch: int, side: int, size: int) -> list[dict[str, np.ndarray]]:
    """All found faces of a split, cut out, in whole batches."""
    others = open_found("open_faces", split, data_dir=folder)
    if len(others) < batch:
        raise InputError(f"{folder} holds out {len(others)} faces; a batch takes {batch}: package more")
    once = Batching(size=batch, side=side, margin=None, epochs=1, threads=1, processes=1, process=0)
    return encoder_crops.held_out(KeptBatches(iter(loaded(others, once)), kept=encoder_crops.KEPT), size=size)


def open_judges(config: Config) -> Judges:
    """The emotion network of the loss, where it has a weight: what ships, or what a recogniser's run left."""
    if not any(config.weights.get(term, 0) for term in EMOTION_TERMS):
        return Judges()
    if config.eye == "open":
        return Judges(emotion=load_expression_networks(), eye=EYES["open"])
    variables = variables_of(config.eye)
    return Judges(emotion=jax.device_put(variables), eye=eye_of(variables))


def started_from(run: str, encoders: Encoders, trained: str) -> Any:
    """What a run begins with: nothing learned, or what an earlier run left, with E_expression where that is trained."""
    if not run:
        if trained == EXPRESSION:
            raise InputError("E_expression needs a trained E_flame: give --config.start=FOLDER of a coarse run of DECA")
        return encoders.start
    variables = variables_of(run)
    parameters, statistics = (jax.device_put(variables.get(name, {})) for name in ("params", "batch_stats"))
    lacking = [part for part in encoders.parts if part not in parameters]
    if lacking:
        raise InputError(
            f"{run}: is no run that these encoders go on from: its network has no "
            f"{' and no '.join(map(repr, lacking))}, but {', '.join(parameters)}; train E_flame again"
        )
    if trained == EXPRESSION and EXPRESSION not in parameters:
        return encoders.with_expression(parameters, statistics)
    return parameters, statistics


def variables_of(run: str) -> Mapping[str, Any]:
    """The variables that a run left: its folder, or the file itself. Errors: InputError where it did not end."""
    place = Path(run)
    place = place / NETWORK if place.is_dir() else place
    try:
        with np.load(place, allow_pickle=False) as file:
            return unflatten_dict(dict(file), sep="/")
    except (OSError, EOFError, ValueError, TypeError, BadZipFile) as error:
        raise InputError(f"{place}: holds no trained network ({error}); let that run come to its end") from error
