"""How long encoding takes beside torch: `python benchmarks/encode.py [--batches 1 8] [--runs N] [--threads T]`.

Three ResNet-50 encoders at 224 pixels with made-up weights, ours and torch's (channels_last, as loaded and with batch
norms folded) in one process each under this one, taking turns, with the same number of threads. Prints a table of
medians, fastest runs and processor time. Other programs on the machine disturb torch's threads more than XLA's: run it
on an idle machine; where that cannot be had, `--threads 1` and the processor time tell most. `--forms` compares all
forms of ours.

Processor milliseconds of one thread per encode, AMD EPYC (Zen 4), busy machine, jax 0.10.1, torch 2.13:

| form | batch 1 | batch 8 |
| --- | --- | --- |
| torch, channels_last | 375 | 2640 |
| folded, 1 x 1 as convolutions | 330 | 2334 |
| folded, 1 x 1 as products (einsum) | 318 | 2330 |
| the same, stem of all three in one convolution | 318 | |
| the same, 3 x 3 as one product of gathered patches | 341 | |
| the same, Winograd F(2 x 2) in all stages | **254** | **2050** |
| the same, Winograd F(4 x 4): two minutes to compile | 280 | |

The plain form runs at the speed of XLA's matrix products (95 of 118 GFLOP/s), so only fewer products help.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

SIZE = 224
OUTPUTS = (236, 50, 128)
"""Of E_flame, E_expression, E_detail."""
SEED = 0
OURS = {
    "calls": "ours: folded, Winograd, one trunk called three times",
    "whole": "ours: folded, Winograd, one program",
    "plain_calls": "ours: folded, one trunk called three times",
    "plain_whole": "ours: folded, one program",
}
TORCH = {"torch": "torch, channels_last", "torch_folded": "torch, channels_last, batch norms folded"}
STANDARD = ("calls", "torch", "torch_folded")


class Sample(NamedTuple):
    wall: float
    processor: float
    """Seconds of all threads together."""


class Worker:
    """A child process that runs one form once per line it reads and answers with the two times."""

    def __init__(self, form: str, batch: int, threads: int):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, __file__, "--worker", form, "--batches", str(batch), "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.first = self.run()

    def run(self) -> Sample:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return Sample(*map(float, self.process.stdout.readline().split()))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(encode: Callable[[], Any]) -> None:
    """Runs `encode` once per line of the standard input."""
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        encode()
        print(time.perf_counter() - wall, time.process_time() - processor, flush=True)


def our_encoders(form: str, batch: int) -> Callable[[], Any]:
    import jax

    from emoca_jax.nets.encoders import Encoder, inference_variables, run_encoder

    rng = np.random.default_rng(SEED)

    def draw(path: Any, leaf: Any) -> np.ndarray:
        name = path[-1].key
        if name == "kernel":
            return rng.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape).astype(np.float32)
        return np.full(leaf.shape, 1.0 if name in ("scale", "var") else 0.0, np.float32)

    images = jax.device_put(rng.random((batch, SIZE, SIZE, 3), np.float32))
    encoders = []
    for outputs in OUTPUTS:
        shapes = jax.eval_shape(Encoder(outputs).init, jax.random.key(0), images)
        variables = jax.tree_util.tree_map_with_path(draw, shapes)
        encoders.append(jax.device_put(inference_variables(variables, winograd=not form.startswith("plain"))))

    def encode(encoders: Any, images: Any) -> Any:
        return [run_encoder(variables, images) for variables in encoders]

    run = jax.jit(encode) if form.endswith("whole") else encode
    return lambda: jax.block_until_ready(run(encoders, images))


def torch_encoders(form: str, batch: int, threads: int) -> Callable[[], Any]:
    import torch
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    torch.set_num_threads(threads)
    torch.manual_seed(SEED)

    def unit(channels: int, features: int, size: int, stride: int = 1) -> nn.Module:
        conv = nn.Conv2d(channels, features, size, stride, size // 2, bias=False).eval()
        norm = nn.BatchNorm2d(features).eval()
        return fuse_conv_bn_eval(conv, norm) if form == "torch_folded" else nn.Sequential(conv, norm)

    class Bottleneck(nn.Module):
        def __init__(self, channels: int, width: int, stride: int, project: bool):
            super().__init__()
            relu = nn.ReLU(inplace=True)
            convolutions = unit(channels, width, 1), unit(width, width, 3, stride), unit(width, 4 * width, 1)
            self.body = nn.Sequential(convolutions[0], relu, convolutions[1], relu, convolutions[2])
            self.shortcut = unit(channels, 4 * width, 1, stride) if project else nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu_(self.body(x) + self.shortcut(x))

    def encoder(outputs: int) -> nn.Module:
        layers: list[nn.Module] = [unit(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
            for block in range(blocks):
                layers.append(Bottleneck(channels, width, 2 if stage and not block else 1, not block))
                channels = 4 * width
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1024), nn.ReLU(), nn.Linear(1024, outputs)]
        return nn.Sequential(*layers, *head).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    encoders = [encoder(outputs) for outputs in OUTPUTS]
    images = torch.rand(batch, 3, SIZE, SIZE).to(memory_format=torch.channels_last)

    def run() -> list[torch.Tensor]:
        with torch.inference_mode():
            return [network(images) for network in encoders]

    return run


def compare(forms: Sequence[str], batch: int, threads: int, runs: int) -> None:
    """One table: forms take turns, so that whatever disturbs the machine disturbs all of them."""
    workers = {form: Worker(form, batch, threads) for form in forms}
    samples: dict[str, list[Sample]] = {form: [] for form in forms}
    for worker in workers.values():
        worker.run()
    for _ in range(runs):
        for form, worker in workers.items():
            samples[form].append(worker.run())
    for worker in workers.values():
        worker.close()
    walls = {form: float(np.median([sample.wall for sample in taken])) for form, taken in samples.items()}
    print(f"\nBatch {batch}, {threads} threads, {runs} runs in turn, milliseconds\n")
    print("| form | median | fastest | processor | first | median over torch's |")
    print("| --- | --- | --- | --- | --- | --- |")
    for form, taken in samples.items():
        fastest = min(sample.wall for sample in taken)
        processor = float(np.median([sample.processor for sample in taken]))
        numbers = [walls[form], fastest, processor, workers[form].first.wall]
        cells = " | ".join(f"{number * 1e3:.0f}" for number in numbers)
        print(f"| {(OURS | TORCH)[form]} | {cells} | {walls[form] / walls['torch']:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--forms", action="store_true", help="compare all forms of ours, not only the one in use")
    parser.add_argument("--worker", choices=[*OURS, *TORCH], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # XLA takes as many threads as the process may use cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    if arguments.worker:
        form, batch = arguments.worker, arguments.batches[0]
        serve(our_encoders(form, batch) if form in OURS else torch_encoders(form, batch, arguments.threads))
        return
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    forms = [*OURS, *TORCH] if arguments.forms else list(STANDARD)
    for batch in arguments.batches:
        compare(forms, batch, arguments.threads, arguments.runs)


if __name__ == "__main__":
    main()
