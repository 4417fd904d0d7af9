"""Photos in: files of any common kind, arrays, folders and globs become uint8 RGB of bounded size."""

from __future__ import annotations

import glob
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError, features

from emoca_jax.capture import other_formats
from emoca_jax.capture.png_texts import LARGEST_TEXT, without_large_texts
from emoca_jax.capture.shown_colours import eight_bits, on_clear_canvas, shown_pixels
from emoca_jax.errors import InputError
from emoca_jax.files.regular import is_address, open_regular, user_path

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".webp", ".avif", ".avifs"),
    *(".gif", ".tif", ".tiff", ".bmp", ".dib"),
)
"""What a folder is searched for, in any case."""
SUFFIX_LIST = "jpg, png, webp, avif, gif, tiff or bmp"
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "DIB")
"""Decoders of Pillow a file may reach, whatever its name says (JPEG opens the MPO of many phones too)."""
MAX_PIXELS = 225_000_000
"""Larger files are refused: room for the 200-megapixel pictures of today's phones; 0.9 GB while a png decodes."""
MAX_SIDE = 4096
"""Longest side worked on: a face of 5 % of the height still has 200 pixels."""
MIN_SIDE = 16
"""No face can be told from fewer pixels."""

_pillow_limits = threading.Lock()


@dataclass(frozen=True)
class Photo:
    """A photo ready to work on."""

    pixels: UInt8[np.ndarray, "height width 3"]
    """RGB, upright, longest side at most `MAX_SIDE`."""
    scale: Float[np.ndarray, "2"]
    """Pixels of the upright original per pixel of `pixels`, x and y."""
    source: Path | None = None


def as_photo(image: str | Path | Image.Image | Shaped[np.ndarray, "..."]) -> Photo:
    """Photo from a path (see `read_photo`), a PIL image (see `check_image`) or an array (see `check_array`)."""
    if isinstance(image, (str, Path)):
        return read_photo(image)
    return check_image(image) if isinstance(image, Image.Image) else check_array(image)


def read_photo(path: str | Path) -> Photo:
    """Read a jpg, png, webp, avif, gif, tiff or bmp as a browser shows it: upright by its EXIF orientation, sRGB by its
    colour profile, at most `MAX_SIDE` on the longest side.

    Grey is spread to three channels, transparency is laid on white, 16 bits become 8 by dividing by 257, and of an
    animation the first frame counts. Metadata that are too large or damaged are left out.
    Errors: InputError naming the file where it is missing, unreadable, no image, damaged, too small or too large; of
    other formats (HEIC, raw, a web page in place of a picture) it says what to do.
    """
    path = Path(path)
    with _opened(path) as (image, size):
        image.draft("RGB", _fitted(size))  # a jpg decodes straight to a half, quarter or eighth
        return replace(_decoded(image, size), source=path)


def check_photo(path: str | Path) -> None:
    """The errors of `read_photo` that a file's beginning tells, without decoding it."""
    with _opened(Path(path)):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    """The picture in a file, not decoded yet, and its size."""
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder; give an image file")
    with _named(str(path)):
        # A tiff decoder would give the thumbnail of a raw photo.
        if other_formats.SUFFIXES.get(path.suffix.lower()) == other_formats.RAW:
            raise InputError(f"is {other_formats.RAW}")
        with open_regular(path) as file:
            try:
                with _without_pillow_limits(), Image.open(without_large_texts(file), formats=_formats()) as image:
                    if getattr(image, "default_image", False):
                        image.seek(1)  # an animated png's picture for programs that show none is no frame of it
                    yield image, _checked_size(image)
            except UnidentifiedImageError:
                file.seek(0)
                told = other_formats.what_it_is(file.read(1024), path.suffix)
                told = told or f"not an image that can be read; give a {SUFFIX_LIST} file"
                raise InputError(f"is {told}") from None


def check_image(image: Image.Image) -> Photo:
    """Photo from a PIL image of any mode, treated as its file would be: see `read_photo`. It is not changed.

    Errors: InputError where it is damaged, too small or too large.
    """
    with _named("image"), _without_pillow_limits():
        if not getattr(image, "default_image", False) or image.tell():
            return _decoded(image, _checked_size(image))
        image.seek(1)  # as in _opened
        try:
            return _decoded(image, _checked_size(image))
        finally:
            image.seek(0)


def check_array(image: Shaped[np.ndarray, "..."]) -> Photo:
    """Photo from an array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], uint8 or float in [0, 1], RGB.

    Transparency is laid on white. Works for anything NumPy can convert, jax arrays included.
    Errors: InputError for other shapes and types, what is no array, values outside the range, NaN and infinity.
    """
    array = np.asarray(image)
    if not isinstance(image, np.ndarray) and (array.ndim == 0 or array.dtype.kind not in "?buifc"):
        what = type(image).__name__
        raise InputError(f"image must be a path, a picture of PIL (it opens bytes and files) or an array, not {what}.")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4):
        raise InputError(
            f"image array has shape {np.shape(image)}; give [height, width, 3] RGB, or [height, width] for grey"
        )
    height, width, channels = array.shape
    if min(height, width) < MIN_SIDE:
        raise InputError(f"image array has only {width} x {height} pixels; give at least {MIN_SIDE} x {MIN_SIDE}")
    if height * width > MAX_PIXELS:
        raise InputError(f"image array has more than {MAX_PIXELS // 1_000_000} megapixels; scale it down")
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise InputError("image array contains NaN or infinity; give finite values in [0, 1]")
        if array.min() < 0 or array.max() > 1:
            raise InputError(
                f"image array has values from {array.min():g} to {array.max():g}; give floats in [0, 1] or uint8"
            )
        array = np.round(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(f"image array has type {array.dtype}; give uint8 or floats in [0, 1]")
    if channels == 1:
        array = array[..., 0]
    pixels = shown_pixels(_shrunk(Image.fromarray(np.ascontiguousarray(array))))
    return Photo(pixels, np.asarray((width, height), np.float32) / pixels.shape[1::-1])


def find_images(inputs: Sequence[str | Path]) -> list[Path]:
    """Files behind image names, folders and globs, in the order given, each once.

    A folder gives the images directly in it (no subfolders, no hidden files), sorted by name; so does a glob, which
    may use ** for subfolders. A file named outright is kept whatever its suffix.
    Errors: InputError where a name leads to nothing.
    """
    found: dict[Path, Path] = {}
    for name in inputs:
        for path in _expand(str(name)):
            found.setdefault(Path(os.path.realpath(path)), path)
    return list(found.values())


def _expand(name: str) -> list[Path]:
    path = user_path(name)
    try:
        if os.path.isdir(path):
            images = sorted(entry for entry in path.iterdir() if looks_like_image(entry))
            if not images:
                raise InputError(f"{name}: has no image in it; give a folder with {SUFFIX_LIST} files")
            return images
        if os.path.lexists(path) or is_address(name) or not glob.has_magic(name):
            return [path]
    except PermissionError:
        raise InputError(f"{name}: may not be read; check its permissions") from None
    images = sorted(filter(looks_like_image, map(Path, glob.glob(str(path), recursive=True))))
    if not images:
        raise InputError(f"{name}: matches no image; check the pattern")
    return images


def looks_like_image(path: Path) -> bool:
    """Whether a folder's search takes it: a file, not hidden, with one of `SUFFIXES`."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and os.path.isfile(path)


@contextmanager
def _without_pillow_limits() -> Iterator[None]:
    """Our own limits instead of Pillow's global ones, which refuse or warn about photos that today's phones take."""
    with _pillow_limits:
        limits = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = None, LARGEST_TEXT
        try:
            with warnings.catch_warnings():
                # Of damaged metadata, which say nothing about the pixels, lines of Pillow's source would be shown.
                warnings.simplefilter("ignore")
                yield
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = limits


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Whatever goes wrong with a picture as one sentence with its name in front."""
    try:
        yield
    except InputError as error:
        sentence = str(error)
        raise InputError(sentence if sentence.startswith(f"{name}: ") else f"{name}: {sentence}") from None
    except FileNotFoundError:
        raise InputError(f"{name}: does not exist; check the name") from None
    except PermissionError:
        raise InputError(f"{name}: may not be read; check its permissions") from None
    except MemoryError:
        raise InputError(f"{name}: does not fit into memory; scale it down") from None
    # Decoders report damage by many exceptions: OSError, SyntaxError (png), struct.error, ValueError, EOFError, ...
    except Exception as error:
        raise InputError(f"{name}: is damaged ({_one_line(error)}); save or copy it again") from None


def _formats() -> list[str]:
    """Pillow before 11.3 has no AVIF, and stumbles over the name."""
    return [name for name in PHOTO_FORMATS if name != "AVIF" or features.check("avif")]


def _checked_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(f"has more than {MAX_PIXELS // 1_000_000} megapixels; scale it down")
    if min(width, height) < MIN_SIDE:
        raise InputError(f"has only {width} x {height} pixels; give a photo of at least {MIN_SIDE} x {MIN_SIDE}")
    return width, height


def _decoded(image: Image.Image, size: tuple[int, int]) -> Photo:
    """size: of the image as the file has it, width first."""
    image.load()
    orientation = _orientation(image)
    pixels = shown_pixels(_turned(_shrunk(on_clear_canvas(image)), orientation))
    original = size[::-1] if orientation in SIDEWAYS else size
    return Photo(pixels, np.asarray(original, np.float32) / pixels.shape[1::-1])


def _fitted(size: tuple[int, int]) -> tuple[int, int]:
    """Size with the same proportions and no side longer than `MAX_SIDE`."""
    factor = min(1.0, MAX_SIDE / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _shrunk(image: Image.Image) -> Image.Image:
    size = _fitted(image.size)
    if size == image.size:
        return image
    # Pillow resamples 16-bit grey and palettes only by nearest neighbour.
    image = eight_bits(image)
    if image.mode in ("P", "PA", "1") or "transparency" in image.info:
        image = image.convert("RGBA")
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings each EXIF orientation upright."""
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that exchange width and height."""


def _orientation(image: Image.Image) -> int:
    """By EXIF, as browsers do: Pillow's `getexif` goes by XMP too, which many programs leave when they turn pixels."""
    try:
        if hasattr(image, "tag_v2"):  # a tiff's own tags
            return image.getexif().get(ExifTags.Base.Orientation, 1)
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        return exif.get(ExifTags.Base.Orientation, 1)
    # A damaged EXIF block says nothing about the pixels.
    except Exception:
        return 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
