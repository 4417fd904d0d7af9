"""What a mesh file holds of one surface, whatever the format."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, UnidentifiedImageError

from emoca_jax.capture.png_texts import PILLOWS_LARGEST_TEXT, without_large_texts
from emoca_jax.capture.shown_colours import eight_bits
from emoca_jax.errors import InputError
from emoca_jax.files.picture_formats import TEXTURE_FORMATS

LARGEST_PICTURE = 2048
"""Pixels along a side: textures are averaged down to it, since a picture of at most that size shows no more."""

DAMAGE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError)
"""What Pillow raises."""


MOST_PIXELS = 100_000_000
"""Of a texture as it is stored."""


@dataclass(frozen=True)
class MeshPart:
    """Triangles of one material, in the file's world; every array has one row per vertex.

    normals: any length, None where the file has none. uv: origin bottom left. colours: linear RGB, multiplied with the
    picture. picture: sRGB, row 0 at v = 1. plain: the file says nothing about its colour.
    """

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    normals: Float[np.ndarray, "vertices 3"] | None
    uv: Float[np.ndarray, "vertices 2"] | None
    colours: Float[np.ndarray, "vertices 3"]
    picture: UInt8[np.ndarray, "height width 3"] | None
    plain: bool = False


def read_picture(source: bytes | Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """A texture as 8-bit RGB, at most LARGEST_PICTURE wide and high; colour profiles are ignored, as glTF demands.

    Errors: InputError, without the file's name, where it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the limit is ours, and damaged metadata say nothing about the pixels
            if isinstance(source, bytes):
                file = without_large_texts(io.BytesIO(source), largest=PILLOWS_LARGEST_TEXT)
                picture = Image.open(file, formats=TEXTURE_FORMATS)
            else:
                picture = source
            if picture.width * picture.height > MOST_PIXELS:
                raise InputError(f"has a texture of more than {MOST_PIXELS // 1_000_000} megapixels; scale it down")
            if picture.format not in (None, *TEXTURE_FORMATS):
                raise InputError(f"has a texture of the format {picture.format}; save it as a png")
            picture = eight_bits(picture).convert("RGB")
            picture.thumbnail((LARGEST_PICTURE, LARGEST_PICTURE), Image.Resampling.BOX)
    except UnidentifiedImageError as error:
        known = ", ".join(name.lower() for name in TEXTURE_FORMATS)
        raise InputError(f"has a texture that cannot be read (none of {known}); save it as a png") from error
    except (*DAMAGE, InputError) as error:
        raise InputError(f"has a texture that cannot be read ({error})") from error
    return np.array(picture)
