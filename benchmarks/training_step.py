"""How long a step of DECA's and EMOCA's training takes, warm, without reading data.

    emoca convert ASSETS --output models
    python benchmarks/training_step.py models/EMOCA [--configs deca_coarse emoca_coarse ...] [--batch 8] [--steps 5]

The step is the configuration's own, from photos as bytes to new parameters: change at random, encoders, drawing, every
loss, gradient, optimiser; in float32. Photos are noise and landmarks lie anywhere, which takes as long as faces do, but
for drawing: the share of the pictures that heads cover is printed. Weights may be made up, too. Under `taskset -c 0` it
is one thread's time. Detail stages take whole people, 6 of 8 photos.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np

import emoca_jax as ej
from emoca_jax.model import decode, encode
from emoca_jax.model_folder import read_model_folder
from emoca_jax.training.devices import device_mesh, place_batch
from emoca_jax.training.loop import Settings, prepare
from emoca_jax.training.step import Report
from scripts import train_coarse, train_detail

SEED = 0
LANDMARKS = 68
STAGES = {"coarse_on_photos": train_coarse.stage_of_folder, "detail_on_photos": train_detail.stage_of_folder}
CONFIGS = ("deca_pretrain", "deca_coarse", "emoca_coarse", "deca_detail", "emoca_detail")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a converted folder with DECA's parts, FLAME and the networks that judge")
    parser.add_argument("--configs", nargs="+", default=CONFIGS)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    asked = parser.parse_args()
    folder = read_model_folder(asked.model)
    print(f"{jax.devices()[0].device_kind}, {jax.device_count()} device(s), jax {jax.__version__}, batch {asked.batch}")
    for name in asked.configs:
        config = importlib.import_module(f"configs.{name}").get_config()
        config.bfloat16 = False
        count = asked.batch - asked.batch % config.per_identity
        batch = made_up_batch(count, config.data.side)
        seconds, report = time_steps(config, folder, batch, asked.steps)
        wall, processor = (statistics.median(kind) for kind in zip(*seconds, strict=True))
        terms = ", ".join(f"{term} {float(value):.3g}" for term, value in report.terms.items())
        print(f"{name}: {count} photos, {wall:.2f} s a step, {count / wall:.2f} images/s, processor {processor:.2f} s")
        print(f"    {terms}")
    print(f"heads cover {covered(asked.model, asked.batch):.0%} of the pictures")
    return 0


def made_up_batch(count: int, side: int) -> dict[str, np.ndarray]:
    """What the loader gives, of nobody."""
    draw = np.random.default_rng(SEED)
    landmarks = draw.uniform(side / 4, 3 * side / 4, (count, LANDMARKS, 2)).astype(np.float32)
    return {"image": draw.integers(0, 256, (count, side, side, 3), dtype=np.uint8), "landmarks": landmarks}


def time_steps(
    config: Any, folder: Any, batch: dict[str, np.ndarray], steps: int
) -> tuple[list[tuple[float, float]], Report]:
    """Seconds by the clock and of the processor, step by step, after one that is not counted."""
    mesh = device_mesh()
    state, step = prepare(STAGES[config.stage](config, folder, lambda: []), Settings(**config.settings), mesh)
    state, report = step(state, place_batch(mesh, batch))
    jax.block_until_ready(state)
    taken = []
    for _ in range(steps):
        clock, processor = time.perf_counter(), time.process_time()
        state, report = step(state, place_batch(mesh, batch))
        jax.block_until_ready(state)
        taken.append((time.perf_counter() - clock, time.process_time() - processor))
    return taken, report


def covered(model: str, count: int) -> float:
    """Share of the pixels that heads cover which these weights find in such photos."""
    loaded: Any = ej.load_model(model)
    photos = jnp.asarray(made_up_batch(count, side=224)["image"]) / jnp.float32(255)
    codes = encode(loaded.encoders, photos)
    return float(decode(loaded.head, codes, (224, 224)).alpha.mean())


if __name__ == "__main__":
    sys.exit(main())
