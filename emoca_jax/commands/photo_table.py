"""What commands on photos print at the end: one line for each face, however long its file's name, and what was left
out."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

GAP = 2
"""Columns of the terminal between two columns of the table."""
LEAST_NAME = 9
"""Columns of the terminal that a name gets in the narrowest one."""
MOST_NAMES = 3
"""Names told of each kind that was left out."""
NAME_WIDTH = 30

Row = tuple[str, ...]


def print_table(rows: Sequence[Row], columns: Mapping[str, bool]) -> None:
    """One line for each row at the width of the terminal: its name is shortened in the middle.

    columns: headings behind the name -> whether they stand on the left.
    """
    if not rows:
        return
    console = Console(highlight=False)
    width = console.width - sum(
        GAP + max(cell_len(heading), *(cell_len(row[place]) for row in rows))
        for place, heading in enumerate(columns, start=1)
    )
    mark = "…" if console.encoding.startswith("utf") else "..."
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("file", no_wrap=True)
    for name, left in columns.items():
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for name, *others in rows:
        # Brackets in file names are not markup.
        table.add_row(*map(Text, (shortened(name, max(width, LEAST_NAME), mark=mark), *others)))
    console.print(table)


def shortened(name: str, width: int, *, mark: str = "…") -> str:
    """A name in at most `width` columns of a terminal: its middle gives way, as beginning and end tell more.

    What would break the line is replaced.
    """
    name = "".join("\N{REPLACEMENT CHARACTER}" if _breaks_line(letter) else letter for letter in name)
    if cell_len(name) <= width:
        return name
    room = max(width - cell_len(mark), 0)
    return _begin(name, room - room // 2) + mark + _begin(name[::-1], room // 2)[::-1]


def skipped_lines(skipped: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """One line for each kind of file that was left out. skipped: what they are and what to do -> files."""
    for what, paths in skipped.items():
        names = ", ".join(shortened(path.name, NAME_WIDTH) for path in paths[:MOST_NAMES])
        more = f" and {len(paths) - MOST_NAMES} more" if len(paths) > MOST_NAMES else ""
        yield f"skipped {names}{more} ({what})"


def _breaks_line(letter: str) -> bool:
    """Control characters, surrogates, and what turns the direction of the text; not the many kinds of blanks."""
    category = unicodedata.category(letter)
    return category.startswith("C") or category in ("Zl", "Zp")


def _begin(text: str, width: int) -> str:
    """As much of a text as fits into `width` columns; some letters take two, some none."""
    kept = ""
    for letter in text:
        if cell_len(kept + letter) > width:
            break
        kept += letter
    return kept
