"""Labels photos by a pipeline of Apache Beam, as a process of its own: files of this machine, then remote ones.

Usage: python label_child.py PHOTOS OUTPUT; labels go to OUTPUT/local and, by a file system that knows addresses that
begin with shelf://, to OUTPUT/remote.
"""

import os
import sys
from pathlib import Path

from apache_beam.io.filesystem import FileMetadata, MatchResult  # pyright: ignore[reportMissingImports]
from apache_beam.io.localfilesystem import LocalFileSystem  # pyright: ignore[reportMissingImports]

from data_pipelines.pseudo_labels.job import pseudo_label
from data_pipelines.pseudo_labels.label import Wanted

SCHEME = "shelf"


def place(address: str) -> str:
    """shelf://tmp/photos is /tmp/photos."""
    return address.replace(f"{SCHEME}:/", "", 1)


class Shelf(LocalFileSystem):
    """Files of this machine as if they were elsewhere."""

    @classmethod
    def scheme(cls) -> str:
        return SCHEME

    def open(self, path, *arguments, **named):
        return super().open(place(path), *arguments, **named)

    def create(self, path, *arguments, **named):
        return super().create(place(path), *arguments, **named)

    def exists(self, path):
        return super().exists(place(path))

    def match(self, patterns, limits=None):
        found = super().match([place(pattern) for pattern in patterns], limits)
        return [
            MatchResult(one.pattern, [FileMetadata(f"{SCHEME}:/{file.path}", 0) for file in one.metadata_list])
            for one in found
        ]


if __name__ == "__main__":
    photos, output = sys.argv[1:]
    pseudo_label([photos], os.fspath(Path(output, "local")), Wanted(), per_shard=2, beam="")
    Path(output, "remote").mkdir()
    remote = [f"{SCHEME}:/{path}" for path in (photos, f"{output}/remote")]
    pseudo_label(remote[:1], remote[1], Wanted(), per_shard=2, beam="")
