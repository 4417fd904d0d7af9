"""A few made-up rows in EmotioNet's folder."""

from pathlib import Path

from tests.datasets.pictures import picture, write

ROWS = 11


def make(folder: Path) -> None:
    """Write the folder: photo i has unit 1 where i is even, unit 12 never, unit 60 unknown."""
    for part, rows in ((0, range(6)), (1, range(6, ROWS))):
        lines = ["path,AU 1,AU 12,AU 60", *(f"{part}/{i}.jpg,{1 - i % 2},0,999" for i in rows)]
        write(folder / f"image_list_{part}.csv", "\n".join(lines) + "\n")
        for i in rows:
            write(folder / "images" / str(part) / f"{i}.jpg", picture(i, size=(64, 48)))
