"""Builds every dataset from its made-up folder and reads it back, as a process of its own.

Usage: python build_child.py FOLDER; FOLDER/official/<name> -> FOLDER/records
"""

import sys
from pathlib import Path

from data_pipelines import NAMES
from data_pipelines.build import build
from data_pipelines.sources import open_records

if __name__ == "__main__":
    root = Path(sys.argv[1])
    for name in NAMES:
        official = root / "official" / name
        builder = build(name, manual_dir=official if official.is_dir() else None, data_dir=root / "records")
        for split in builder.info.splits:
            records = open_records(name, split, data_dir=root / "records")
            assert len([records[i] for i in range(len(records))]) == builder.info.splits[split].num_examples
