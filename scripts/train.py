"""Train what a configuration says, going on where an earlier run of the same folder stopped:

    python scripts/train.py --config=configs/open/emo_mlp.py --folder=runs/open_emo_mlp [--config.batch=512 ...]

^C and SIGTERM finish the step, save and end (130, 143); the same command goes on. --dry_run compiles the step, prints
its parameters, memory and FLOPs, and ends. Needs the extra `train`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

# Configurations, data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np
import optax
from absl import app, flags, logging
from flax.traverse_util import flatten_dict
from jaxtyping import Array, Key
from ml_collections import config_flags

from data_pipelines.augment import Amounts
from data_pipelines.loader import Batching
from data_pipelines.loader import batches as loaded
from data_pipelines.open_faces.codes import Misfit, as_fitted, coded_faces
from data_pipelines.open_faces.crops import KeptBatches, as_trained_on, held_out
from data_pipelines.sources import Joined, open_records
from emoca_jax.errors import InputError
from emoca_jax.files.whole import write_file
from emoca_jax.flame import load_head
from emoca_jax.jobs.open_encoder import save_open_encoder
from emoca_jax.training.checkpoint import Batches
from emoca_jax.training.dry_run import dry_run, told
from emoca_jax.training.hosts import join
from emoca_jax.training.in_memory import InMemory
from emoca_jax.training.loop import Settings, Stage, evaluated, gathered, run
from emoca_jax.training.stages.emotion import code_recogniser, emotion_stage, image_recogniser
from emoca_jax.training.state import Parameters
from emoca_jax.training.step import Batch
from scripts.train_coarse import NETWORK, coarse_on_drawings, coarse_on_photos
from scripts.train_recogniser import emotion_from_photos

CONFIG = config_flags.DEFINE_config_file("config", None, "What to train, a file in configs/.", lock_config=True)
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where many processes are one run.")
PROCESSES = flags.DEFINE_integer("processes", None, "How many there are.")
PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0.")
FOLDER = flags.DEFINE_string("folder", None, "Where checkpoints, curves and the trained network go.")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "Compile the step, print what it costs, train nothing.")
Config = Any
"""An `ml_collections.ConfigDict`, whose entries have no types that a checker could know."""
CROP_STEP = 16
"""The small network halves a picture four times, and JPEG has blocks of 8."""
MODEL = "model"
"""A folder beside it that `emoca reconstruct --model` takes."""
flags.mark_flags_as_required(["config", "folder"])


def emotion_from_codes(config: Config) -> tuple[Stage, Batches]:
    """EMO-MLP on the open head's units."""
    head = load_head("open")
    examples = coded_faces(head, config.data.seed, config.data.train)
    held_out = coded_faces(head, config.data.held_out_seed, config.data.held_out)
    network = code_recogniser(examples["codes"].shape[1], **config.network)

    def fitted(key: Key[Array, ""], batch: Batch) -> Batch:
        return {**batch, "codes": as_fitted(key, batch["codes"], Misfit(**config.misfit))}

    stage = emotion_stage(network, optax.adam(config.rate), lambda: [held_out], augment=fitted)
    part = {"process": jax.process_index(), "processes": jax.process_count()}
    return stage, InMemory(examples, config.batch, seed=config.settings.seed, **part)


def emotion_from_drawings(config: Config) -> tuple[Stage, Batches]:
    """A recogniser of pictures on packaged open faces."""
    names, data = load_head("open").expression_names, config.data
    if config.crop % CROP_STEP:
        raise InputError(f"config.crop is {config.crop}; give a multiple of {CROP_STEP} pixels")
    batching = Batching(
        size=config.batch // jax.process_count(), seed=config.settings.seed, side=data.side, margin=None,
        threads=data.threads, ahead=data.ahead,
    )  # fmt: skip
    sources = [open_records("open_faces", "train", data_dir=folder) for folder in data.train]
    training = KeptBatches(iter(loaded(Joined(sources), batching)))
    others = open_records("open_faces", "validation", data_dir=data.held_out)
    once = Batching(size=config.batch, side=data.side, margin=None, epochs=1, threads=1, processes=1, process=0)
    if len(others) < config.batch:
        raise InputError(f"{data.held_out} holds out {len(others)} faces; a batch takes {config.batch}: package more")
    judged = held_out(KeptBatches(iter(loaded(others, once))), size=config.crop)
    augment = functools.partial(as_trained_on, names=names, size=config.crop, amounts=Amounts(**config.augment))
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.rate, config.warm_up, config.schedule)
    optimiser = optax.adamw(schedule, weight_decay=config.weight_decay)
    network = image_recogniser(config.network, size=config.crop)
    return emotion_stage(network, optimiser, lambda: judged, augment=augment), training


STAGES: dict[str, Callable[[Config], tuple[Stage, Batches]]] = {
    "emotion_from_codes": emotion_from_codes,
    "emotion_from_drawings": emotion_from_drawings,
    "emotion_from_photos": emotion_from_photos,
    "coarse_on_drawings": coarse_on_drawings,
    "coarse_on_photos": coarse_on_photos,
}


def as_npz(parameters: Parameters, statistics: Parameters) -> bytes:
    """Both collections of a network's variables, by path, as a .npz file."""
    file = BytesIO()
    arrays: dict[str, Any] = flatten_dict({"params": parameters, "batch_stats": statistics}, sep="/")
    np.savez(file, **jax.device_get(arrays))
    return file.getvalue()


def main(arguments: Sequence[str]) -> int:
    # Orbax tells of every step it takes.
    logging.set_verbosity(logging.ERROR)
    try:
        if len(arguments) > 1:
            raise InputError(f"there is no argument {arguments[1]!r}; options begin with --")
        if not FOLDER.value:
            raise InputError("give --folder a folder for checkpoints, curves and the trained network")
        join(COORDINATOR.value, PROCESSES.value, PROCESS.value)
        config, folder = CONFIG.value, Path(FOLDER.value)
        if config.stage not in STAGES:
            raise InputError(f"config.stage is {config.stage!r}; there are {', '.join(STAGES)}")
        stage, batches = STAGES[config.stage](config)
        settings = Settings(**config.settings)
        if DRY_RUN.value:
            print(told(stage, dry_run(stage, batches, settings)))
            return 0
        ended = run(stage, batches, settings, folder)
        parameters, statistics = gathered(evaluated(ended.state, settings))
        if ended.exit_code == 0 and jax.process_index() == 0:
            write_file(folder / NETWORK, as_npz(parameters, statistics))
            if config.stage == "coarse_on_drawings":
                save_open_encoder(folder / MODEL, config.name, {"params": parameters, "batch_stats": statistics})
        return ended.exit_code
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    app.run(main)
