"""Drawing on a GPU, in one command: `python benchmarks/rasterize_gpu.py [--batch 64] [--write FILE.md]`.

Images per second hard and soft at 224 x 224, the bytes per second that the hard rasteriser moves against what the
memory can do (a copy of 1 GB, measured here), and the share of drawing in a training step with three ResNet-50
encoders.
Targets on one H200: 20,000 images/s hard, 1,000 images/s soft with 50 faces per pixel, drawing below 10 % of a step.
On a CPU it runs too, slowly; try it with a small --batch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
from rasterize import HEADER, Timing, jobs, machine, measure, row, sphere

from emoca_jax.nets.encoders import DETAIL_OUTPUTS, EXPRESSION_OUTPUTS, FLAME_OUTPUTS, IMAGE_SIZE, Encoder

OUTPUTS = (FLAME_OUTPUTS, EXPRESSION_OUTPUTS, DETAIL_OUTPUTS)
COPY_FLOATS = 2**28
DRAWINGS = (
    "surface",
    "shaded, textured image",
    "shaded, textured image with gradients",
    "anti-aliased outline with gradients",
    "soft outline, 50 faces",
    "soft outline, 50 faces, with gradients",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--write", type=Path, metavar="FILE.md")
    options = parser.parse_args()
    lines = report(options.batch, options.runs)
    print("\n".join(lines))
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")


def report(batch: int, runs: int) -> list[str]:
    mesh = sphere()
    drawings = jobs(mesh, batch, IMAGE_SIZE)
    timings, lines = {}, [machine() + ".", "", HEADER]
    for name in DRAWINGS:
        timings[name] = measure(drawings[name][0], *drawings[name][1], runs=runs)
        lines.append(row(name, IMAGE_SIZE, batch, timings[name]))
        print(lines[-1], file=sys.stderr, flush=True)
    lines.append("")
    for name in ("surface", "soft outline, 50 faces"):
        lines.append(f"{name}: {batch / timings[name].median:,.0f} images/s")
    lines.append(roofline(*drawings["surface"], timings["surface"], runs))
    encoding = training_step(batch, runs)
    drawing = timings["shaded, textured image with gradients"].median
    lines.append(
        f"training step: encoders {1e3 * encoding.median:.1f} ms, shaded image with gradients {1e3 * drawing:.1f} ms, "
        f"drawing is {drawing / (drawing + encoding.median):.1%} of both"
    )
    return lines


def roofline(function, inputs, timing: Timing, runs: int) -> str:
    """Bytes per second, if inputs are read once, results written once and temporaries both, beside a plain copy."""
    memory = function.lower(*inputs).compile().memory_analysis()
    needed = memory.argument_size_in_bytes + memory.output_size_in_bytes + 2 * memory.temp_size_in_bytes
    copy = measure(jax.jit(lambda x: x + 1), jnp.zeros(COPY_FLOATS), runs=runs)
    possible, moved = 2 * 4 * COPY_FLOATS / copy.median, needed / timing.median
    return (
        f"surface: {moved / 1e9:,.1f} GB/s (inputs and results once, temporaries written and read once), a copy "
        f"reaches {possible / 1e9:,.0f} GB/s, so {moved / possible:.1%} of the memory roofline"
    )


def training_step(batch: int, runs: int) -> Timing:
    """Three encoders, forward and backward in training mode, as they stand beside the renderer in a step."""
    images = jnp.zeros((batch, IMAGE_SIZE, IMAGE_SIZE, 3))
    encoders = [Encoder(outputs) for outputs in OUTPUTS]
    variables = [jax.jit(encoder.init)(jax.random.key(0), images[:1]) for encoder in encoders]

    def loss(params, rest, images):
        total = 0.0
        for encoder, own, others in zip(encoders, params, rest, strict=True):
            out, _ = encoder.apply({"params": own, **others}, images, train=True, mutable=["batch_stats"])
            total += jnp.mean(out**2)
        return total

    params = [variable["params"] for variable in variables]
    rest = [{key: value for key, value in variable.items() if key != "params"} for variable in variables]
    return measure(jax.jit(jax.grad(loss)), params, rest, images, runs=runs)


if __name__ == "__main__":
    main()
