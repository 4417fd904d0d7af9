"""`emoca convert`: official files in, a model folder out, an account of every key."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emoca_jax.errors import InputError
from emoca_jax.files.failed_downloads import UNPACK

if TYPE_CHECKING:
    from emoca_jax.convert.report import FileReport


MOST_REASONS = 3
"""Files that an error names one by one."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "convert",
        help="turn the official weights into a model folder",
        description="Turn official files of FLAME, DECA, EMOCA and the networks beside them into a model folder. Files "
        "are told apart by their content, never by their name; nothing in them is ever executed. Converting more files "
        "into the same folder adds to it. `emoca fetch-help` says where the files come from.",
    )
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="the folder with the official assets, or any file of it"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("model"), metavar="FOLDER", help="the model folder (default: model)"
    )
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, write nothing")
    parser.add_argument("--verbose", action="store_true", help="print what became of every key (kept in report.txt)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Convert, print one line per file and what the folder still lacks; returns the exit code."""
    outcome = convert_quietly(arguments.sources, None if arguments.dry_run else arguments.output)
    from emoca_jax.convert.report import DONE, FAILED, IGNORED, listing

    if arguments.verbose:
        print(listing(outcome.reports))
    print_summary(outcome.reports)
    ignored = [report for report in outcome.reports if report.state == IGNORED]
    if outcome.count(DONE) or outcome.count(FAILED):
        for report in ignored:
            # Other files may lie there rightly; in an archive may be what is looked for.
            if report.notes[0].endswith(UNPACK):
                print(f"emoca: {report.path} is {report.notes[0]}", file=sys.stderr)
    if ignored:
        print(f"{_files_are(len(ignored))} none of the kinds that can be converted")
    if not outcome.count(DONE):
        if not outcome.count(FAILED):
            reasons = "; ".join(f"{report.path} is {report.notes[0]}" for report in outcome.reports[:MOST_REASONS])
            raise InputError(f"nothing to convert ({reasons}): `emoca fetch-help` says what the official files are")
        return 2
    description = outcome.description
    place = "would be written (dry run)" if arguments.dry_run else f"are in {arguments.output}"
    models = ", ".join(f"{name} ({model['variant']})" for name, model in sorted(description["models"].items()))
    print(f"models: {models or 'none'}; parts: {', '.join(description['parts']) or 'none'}; they {place}")
    if description["missing"]:
        print("still missing (see `emoca fetch-help`): " + "; ".join(description["missing"]))
    if description["optional"]:
        print("not needed, but albedo is grey without: " + "; ".join(description["optional"]))
    return 1 if outcome.count(FAILED) else 0


def _files_are(number: int) -> str:
    return f"{number} more {'file is' if number == 1 else 'files are'}"


def convert_quietly(sources: Iterable[str | Path], output: Path | None) -> Any:
    """Convert with a passing line on the terminal that names the file being read."""
    from rich.console import Console

    # Shapes are worked out, nothing is computed: no accelerator has to be woken for that.
    os.environ["JAX_PLATFORMS"] = "cpu"
    from emoca_jax.convert.convert import convert

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    with console.status("starting") as status:
        return convert(list(sources), output, tell=lambda name: status.update(f"reading {name}"))


def print_summary(reports: Iterable[FileReport]) -> None:
    """One line per official file on stdout, failures with their sentence on stderr."""
    from emoca_jax.convert.report import DONE, FAILED, IGNORED

    reports = [report for report in reports if report.state != IGNORED]
    # Plain lines: paths stay whole, whatever the width of the terminal.
    if any(report.state != FAILED for report in reports):
        print(f"{'kind':28} {'taken':>8} {'skipped':>8}  file")
    for report in reports:
        if report.state == FAILED:
            print(f"emoca: {'; '.join(report.notes)}", file=sys.stderr)
            continue
        done = report.state == DONE
        keys = f"{report.taken:8} {len(report.rows) - report.taken:8}" if done else f"{report.state:>17}"
        remarks = [*report.notes, *([f"{report.unknown} keys unknown"] if report.unknown else [])]
        print(f"{report.kind or '':28} {keys}  {report.path}" + (f": {'; '.join(remarks)}" if remarks else ""))
