"""Train what a configuration says, going on where an earlier run of the same folder stopped:

    python scripts/train.py --config=configs/open/emo_mlp.py --folder=runs/open_emo_mlp [--config.batch=512 ...]

^C and SIGTERM finish the step, save and end (130, 143); the same command goes on. --dry_run compiles the step, prints
its parameters, memory and FLOPs, and ends. Needs the extra `train`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

# Configurations, data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np
from absl import app, flags, logging
from flax.traverse_util import flatten_dict
from ml_collections import config_flags

from emoca_jax.errors import InputError
from emoca_jax.files.whole import write_file
from emoca_jax.jobs.open_encoder import save_open_encoder
from emoca_jax.training.checkpoint import Batches
from emoca_jax.training.described import get_ready
from emoca_jax.training.dry_run import dry_run, told
from emoca_jax.training.hosts import join
from emoca_jax.training.loop import Settings, Stage, evaluated, gathered, run
from emoca_jax.training.state import Parameters
from scripts.train_coarse import NETWORK, coarse_on_drawings, coarse_on_photos
from scripts.train_detail import detail_on_drawings, detail_on_photos
from scripts.train_recogniser import (
    emotion_from_codes,
    emotion_from_drawings,
    emotion_from_labelled_codes,
    emotion_from_looks,
    emotion_from_photos,
)

CONFIG = config_flags.DEFINE_config_file("config", None, "What to train, a file in configs/.", lock_config=True)
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where many processes are one run.")
PROCESSES = flags.DEFINE_integer("processes", None, "How many there are.")
PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0.")
FOLDER = flags.DEFINE_string("folder", None, "Where checkpoints, curves and the trained network go.")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "Compile the step, print what it costs, train nothing.")
FOR = flags.DEFINE_string("for", None, "With --dry_run: a described machine in place of this one: h100 or v5e.")
Config = Any
"""An `ml_collections.ConfigDict`, whose entries have no types that a checker could know."""
ON_DRAWINGS = ("coarse_on_drawings", "detail_on_drawings")
"""Stages whose networks, where they read the trunk that ships, are a model."""
MODEL = "model"
"""A folder beside it that `emoca reconstruct --model` takes."""
flags.mark_flags_as_required(["config", "folder"])


STAGES: dict[str, Callable[[Config], tuple[Stage, Batches]]] = {
    "emotion_from_codes": emotion_from_codes,
    "emotion_from_labelled_codes": emotion_from_labelled_codes,
    "emotion_from_drawings": emotion_from_drawings,
    "emotion_from_looks": emotion_from_looks,
    "emotion_from_photos": emotion_from_photos,
    "coarse_on_drawings": coarse_on_drawings,
    "coarse_on_photos": coarse_on_photos,
    "detail_on_photos": detail_on_photos,
    "detail_on_drawings": detail_on_drawings,
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
        if FOR.value and not DRY_RUN.value:
            raise InputError("--for describes a machine that is not there: add --dry_run")
        machine = get_ready(FOR.value) if FOR.value else None
        join(address=COORDINATOR.value, processes=PROCESSES.value, process=PROCESS.value)
        config, folder = CONFIG.value, Path(FOLDER.value)
        if config.stage not in STAGES:
            raise InputError(f"config.stage is {config.stage!r}; there are {', '.join(STAGES)}")
        stage, batches = STAGES[config.stage](config)
        settings = Settings(**config.settings)
        if DRY_RUN.value:
            print(told(stage, dry_run(stage, batches, settings, machine=machine)))
            return 0
        ended = run(stage, batches, settings, folder)
        parameters, statistics = gathered(evaluated(ended.state, settings))
        if ended.exit_code == 0 and jax.process_index() == 0:
            write_file(folder / NETWORK, as_npz(parameters, statistics))
            if config.stage in ON_DRAWINGS:
                save_open_encoder(folder / MODEL, config.name, {"params": parameters, "batch_stats": statistics})
        return ended.exit_code
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    app.run(main)
