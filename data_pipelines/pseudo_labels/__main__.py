"""Labels a collection of photos: faces, landmarks, emotions and, where they are asked for, 3D codes.

    python -m data_pipelines.pseudo_labels FOLDER [FOLDER ...] --output LABELS [--codes] [--model converted]
    python -m data_pipelines.pseudo_labels gs://photos --output gs://labels --beam runner=DataflowRunner,project=...

Labels come in shards of photos: faces-*.jsonl has a line a face, arrays-*.npz a row for each of those lines,
failed-*.jsonl a line for every photo without labels and why. A shard that is there is not made again: the same command
goes on after an interruption. summary.json counts. Exit code 0, 1 where photos have no labels, 2 where none has or
nothing can be done, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from emoca_jax.commands import compile_cache
from emoca_jax.errors import InputError, surprise
from emoca_jax.files.ending import end_on_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Label what the command line says; returns the exit code."""
    if arguments is None:
        end_on_signals()
    parser = argparse.ArgumentParser(
        prog="python -m data_pipelines.pseudo_labels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="PHOTOS", help="folders, patterns, files; or addresses (gs://)")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where labels go")
    parser.add_argument("--model", default="open", metavar="open|FOLDER", help="the networks (default: open)")
    parser.add_argument("--codes", action="store_true", help="3D codes, too; fitted, they take seconds a face")
    parser.add_argument("--per_shard", type=int, default=256, help="photos a shard (default: 256)")
    parser.add_argument(
        "--beam",
        metavar="OPTIONS",
        nargs="?",
        const="",
        help="label by Apache Beam: runner=DataflowRunner,project=...; without options on this machine",
    )
    asked = parser.parse_args(arguments)
    try:
        # Before jax is imported.
        compile_cache.enable()
        from data_pipelines.pseudo_labels.job import pseudo_label
        from data_pipelines.pseudo_labels.label import Wanted

        wanted = Wanted(asked.model, asked.codes)
        total = pseudo_label(asked.inputs, asked.output, wanted, per_shard=asked.per_shard, beam=asked.beam)
    except InputError as error:
        print(f"pseudo_labels: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pseudo_labels: interrupted", file=sys.stderr)
        return 130
    # Beam raises many kinds of its own.
    except Exception as error:
        print(f"pseudo_labels: {surprise(error)}", file=sys.stderr)
        return 2
    failed = sum(total.failed.values())
    print(f"{total.faces} faces from {total.photos - failed} photos in {asked.output}" + _told(total.failed.items()))
    if not failed:
        return 0
    return 1 if failed < total.photos else 2


def _told(failed: Iterable[tuple[str, int]]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in failed)
    return f"; {kinds} (why: failed-*.jsonl)" if kinds else ""


if __name__ == "__main__":
    sys.exit(main())
