"""A plan for a few small open faces."""

import json
from pathlib import Path


def make(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "open_faces.json").write_text(json.dumps({"seed": 3, "size": 32, "train": 3, "validation": 2}))
