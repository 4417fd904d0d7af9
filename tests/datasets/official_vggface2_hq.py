"""Three made-up identities in VGGFace2-HQ's folder, the second of them held out."""

from pathlib import Path

from tests.datasets.pictures import picture, write

IDENTITIES = {"n000002": 2, "n000030": 2, "n000031": 3}


def make(folder: Path) -> None:
    """Write the folder."""
    for identity, count in IDENTITIES.items():
        for i in range(count):
            file = folder / "VGGface2_HQ_original_aligned" / identity / f"{i:04d}_01.jpg"
            write(file, picture(int(identity[1:]) + i, size=(64, 64)))
