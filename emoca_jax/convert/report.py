"""The account of a conversion: every key of every source, as a text to keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from emoca_jax.convert.kinds import Kind
from emoca_jax.convert.readers.translate import UNKNOWN, Row

DONE, FAILED, UNUSED, IGNORED = "converted", "failed", "not used", "ignored"
"""What becomes of a file: its arrays are in the folder; it is damaged or incomplete; another file has its place; it is
none of the kinds."""


@dataclass(frozen=True)
class FileReport:
    """What became of one source file."""

    path: str
    """Relative to the source that was given, with its name in front."""
    kind: Kind | None
    state: str
    """DONE, FAILED, UNUSED or IGNORED."""
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Reasons and remarks, one sentence or phrase each."""

    @property
    def taken(self) -> int:
        """Keys that went into the folder."""
        return sum(row.target is not None for row in self.rows)

    @property
    def unknown(self) -> int:
        """Keys that no rule speaks of."""
        return sum(row.note == UNKNOWN and row.target is None for row in self.rows)


def listing(reports: Iterable[FileReport]) -> str:
    """Everything, as plain text: a heading for each file, a line for each key."""
    lines = []
    for report in reports:
        kind = f" ({report.kind})" if report.kind else ""
        lines.append(f"{report.path}{kind}: {report.state}")
        lines += [f"  note: {note}" for note in report.notes]
        lines += [_line(row) for row in report.rows]
        lines.append("")
    return "\n".join(lines)


def _line(row: Row) -> str:
    shape = f"[{', '.join(map(str, row.shape))}]"
    if row.target is None:
        return f"  {row.source} {shape} skipped: {row.note}"
    return f"  {row.source} {shape} -> {row.target}" + (f" ({row.note})" if row.note else "")
