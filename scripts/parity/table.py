"""The results as a page of markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from parity.golden import Comparison

COUNTED = ("pass", "fail", "input", "exception")
HEADER = """# Parity with the official code

What this package computes from made-up weights (seed {seed}) beside what the official PyTorch code computed from the
same files: every array of every file of reference numbers. Made by

    python scripts/check_parity.py --assets ASSETS --golden GOLDEN --output docs/parity.md

`max absolute` is the largest difference, `max relative` the same as a part of the reference's largest value. For a
`__stat` array (mean, deviation, extremes, sum of squares of a whole array) the differences are those of the statistics,
the sum of squares taken as a root mean square. Inputs were stored beside the results and are listed, not compared.
"""


def markdown(results: Mapping[str, Sequence[Comparison]], seed: int) -> str:
    """A summary, then a table for each file."""
    lines = [HEADER.format(seed=seed), "| file | arrays | " + " | ".join(COUNTED) + " |", "| --- |" + " ---: |" * 5]
    total: Counter[str] = Counter()
    for name, rows in results.items():
        counts = Counter(row.result for row in rows)
        total += counts
        lines.append(_summary(f"[{name}](#{name})", counts))
    lines += [_summary("**all**", total), ""]
    for name, rows in results.items():
        lines += [f"## {name}", "", *_file(rows), ""]
    return "\n".join(lines)


def _summary(name: str, counts: Counter[str]) -> str:
    return f"| {name} | {counts.total()} | " + " | ".join(str(counts[kind]) for kind in COUNTED) + " |"


def _file(rows: Sequence[Comparison]) -> list[str]:
    lines = []
    inputs = [f"`{row.array}`" for row in rows if row.result == "input"]
    if inputs:
        lines += [f"Inputs: {', '.join(inputs)}.", ""]
    lines += [f"Not compared: `{row.array}`: {row.note}." for row in rows if row.result == "exception"]
    lines += [""] if any(row.result == "exception" for row in rows) else []
    compared = [row for row in rows if row.result in ("pass", "fail")]
    if compared:
        lines += [
            "| array | max absolute | max relative | tolerance | result | note |",
            "| --- | ---: | ---: | --- | --- | --- |",
        ]
    for row in compared:
        numbers = " | ".join("" if value is None else f"{value:.2g}" for value in (row.absolute, row.relative))
        result = row.result if row.result == "pass" else "**FAIL**"
        lines.append(f"| `{row.array}` | {numbers} | {row.tolerance} | {result} | {row.note} |")
    return lines
