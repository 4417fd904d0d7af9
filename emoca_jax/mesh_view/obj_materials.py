"""What an .obj says of its colours: material libraries as programs write them, textures found as viewers find them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from emoca_jax.errors import InputError
from emoca_jax.mesh_view.beside import FilesBeside, text_of
from emoca_jax.mesh_view.mesh_part import read_picture

KEYWORD = "emoca_picture"
"""Stands in the library that trimesh gets, with the number of the picture and its placement, where map_Kd stood."""
OPTIONS = {
    **dict.fromkeys(("-blendu", "-blendv", "-bm", "-boost", "-cc", "-clamp", "-imfchan", "-texres", "-type"), 1),
    "-mm": 2,
}
"""Options before a texture's name -> words that follow them. Source: the MTL specification of Wavefront."""
PLACEMENTS = ("-o", "-s", "-t")
"""Options that one to three numbers follow."""


class TextureLine(NamedTuple):
    """A texture as a map_Kd names it; uv times scale plus offset is where its pixels are looked up."""

    name: str
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


class MaterialFiles(FilesBeside):
    """Hands trimesh the files that a mesh names; textures of an .obj it reads itself."""

    def __init__(self, mesh: str):
        super().__init__(mesh)
        self.pictures: list[UInt8[np.ndarray, "_height _width 3"]] = []
        """Textures in the order of their KEYWORD."""
        self.lacking: list[str] = []
        """What is not there or cannot be read: the end of a sentence each, which begins with the mesh."""

    def get(self, name: str) -> Any:
        """A picture's bytes, or the text of a material library with KEYWORD for map_Kd.

        Errors: FileNotFoundError where it is not there, which `lacking` remembers.
        """
        if not name.strip().lower().endswith(".mtl"):
            return super().get(name)
        lines = text_of(self._read(name)).splitlines()
        # Whatever it is, behind a comment nobody takes it for a picture.
        return "\n".join(["# materials", *(self._without_texture(line) for line in lines)])

    def _without_texture(self, line: str) -> str:
        keyword, _, rest = line.strip().partition(" ")
        if keyword.lower() != "map_kd" or (texture := texture_line(rest)) is None:
            return line
        try:
            picture = read_picture(self._read(texture.name))
        except FileNotFoundError:
            return ""
        except InputError:
            self.lacking.append(f"has a texture {texture.name} that is no picture or damaged")
            return ""
        self.pictures.append(picture)
        return " ".join(map(str, (KEYWORD, len(self.pictures) - 1, *texture.scale, *texture.offset)))

    def _read(self, name: str) -> bytes:
        # Programs for Windows write backslashes, and names in other capitals than those of the file.
        name = name.strip().strip('"').replace("\\", "/")
        for candidate in (name, *self._same_but_for_case(name)):
            try:
                return super()._read(candidate)
            except FileNotFoundError:
                continue
        kind = "material library" if name.lower().endswith(".mtl") else "texture"
        self.lacking.append(f"names a {kind} {name} that is not in its folder")
        raise FileNotFoundError(name)

    def _same_but_for_case(self, name: str) -> list[str]:
        path = PurePosixPath(name)
        found = []
        for folder in dict.fromkeys((path.parent, PurePosixPath())):
            try:
                entries = [entry.name for entry in self.absolute(str(folder)).iterdir()]
            except (OSError, ValueError):
                continue
            found += [str(folder / entry) for entry in entries if entry.casefold() == path.name.casefold()]
        return found


def texture_line(text: str) -> TextureLine | None:
    """The texture that a map_Kd names after its options; None where it names none."""
    words, placed = text.split(), {}
    while words and (words[0].lower() in OPTIONS or words[0].lower() in PLACEMENTS):
        option, *words = words
        option = option.lower()
        if option in OPTIONS:
            words = words[OPTIONS[option] :]
            continue
        numbers: list[float] = []
        # A name may look like a number, too, but it comes last.
        while len(words) > 1 and len(numbers) < 3 and (number := _number(words[0])) is not None:
            numbers.append(number)
            words = words[1:]
        placed[option] = numbers
    if not words:
        return None
    # The last words with the blanks between them: a name may have blanks.
    name = text.split(maxsplit=len(text.split()) - len(words))[-1].strip()
    return TextureLine(name, _pair(placed.get("-s", []), 1.0), _pair(placed.get("-o", []), 0.0))


def _pair(numbers: list[float], default: float) -> tuple[float, float]:
    first, second = [*numbers, default, default][:2]
    return first, second


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
