"""The files beside a mesh that it names, its materials and textures, as trimesh asks for them."""

from __future__ import annotations

import io
import os
from typing import Any

from PIL import Image
from trimesh.resolvers import FilePathResolver

from emoca_jax.errors import InputError
from emoca_jax.files.picture_formats import TEXTURE_FORMATS
from emoca_jax.files.regular import read_regular

LARGEST_TEXTURE = 256 << 20
OTHER_ENCODINGS = ("cp1252", "cp932", "gb18030")
"""Of a name that was written on another system than it is read on."""


class FilesBeside(FilePathResolver):
    """Regular files in the mesh's folder and below it: text as text, and pictures of `TEXTURE_FORMATS`.

    Errors: FileNotFoundError for everything else, which trimesh takes for a texture that is missing.
    """

    def get(self, name: str) -> Any:
        """Text, or a picture's bytes."""
        data = self._read(name)
        try:
            with Image.open(io.BytesIO(data), formats=TEXTURE_FORMATS):
                return data
        except Exception as error:
            if not name.lower().endswith(".mtl"):
                raise FileNotFoundError(name) from error
        # Whatever it is, behind a comment nobody takes it for a picture.
        return "# materials\n" + text_of(data)

    def _read(self, name: str) -> bytes:
        raw = os.fsencode(name)
        for candidate in (name, *(raw.decode(encoding, "replace") for encoding in OTHER_ENCODINGS)):
            for place in (candidate.strip(), candidate.strip().replace("\\", "/"), os.path.basename(candidate)):
                try:
                    return read_regular(self.absolute(place), most=LARGEST_TEXTURE)
                except (InputError, OSError, ValueError, RuntimeError):
                    continue  # not there, or outside of the folder
        raise FileNotFoundError(name)


def text_of(data: bytes) -> str:
    """Text of any encoding that keeps ASCII, or UTF-16; bytes that are no UTF-8 stay what they are for file names."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
