"""The colours of a picture as a browser shows them: eight bits of sRGB on white paper, whatever the file keeps."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms

from emoca_jax.errors import InputError

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
"""Colour space in a profile's header -> Pillow's name of it."""
SPACE = slice(16, 20)
"""Where it stands."""
USUAL_GAMMA = (0.43, 0.48)
"""A png's gAMA that means sRGB: 1 / 2.2 with the rounding of many programs."""
DEEPEST = 65535


def shown_pixels(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of any mode as 8-bit sRGB: its colour profile (or a png's gamma) applied, transparency laid on white.

    Grey is spread to three channels, 16 bits become 8 by dividing by 257. A profile that is damaged or belongs to
    another colour space is ignored.
    Errors: InputError, without a name in front, for floating-point pixels and more than 16 bits.
    """
    image = eight_bits(image)
    opacity = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
        opacity = image.getchannel("A")
        image = _with_info(image.convert(image.mode[:-1]), image)
    elif image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = _with_info(image.convert("L" if image.mode == "1" else "RGB"), image)
    shown = _in_srgb(image)
    if opacity is not None:
        shown = Image.composite(shown, Image.new("RGB", shown.size, "white"), opacity)
    return np.array(shown)


def on_clear_canvas(image: Image.Image) -> Image.Image:
    """A gif whose first frame leaves some of its canvas free, with that part transparent; others as they are.

    Browsers show the page there, Pillow the background colour, which browsers have not minded for decades.
    """
    extent = getattr(image, "dispose_extent", None)
    if image.format != "GIF" or extent is None or image.tell() or tuple(extent) == (0, 0, *image.size):
        return image
    frame = image.crop(extent).convert("RGBA")
    canvas = Image.new("RGBA", image.size)
    canvas.paste(frame, extent[:2])
    return canvas


def eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits as 8: 65535 / 257 = 255, where Pillow's own conversion clips at 255; others as they are.

    A shade that a png calls transparent becomes an alpha channel.
    Errors: as `shown_pixels`.
    """
    if image.mode == "F":
        raise InputError("has floating-point pixels, whose white is anybody's guess; save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > DEEPEST:
        raise InputError("has more than 16 bits per pixel; save it with 8 or 16 bits")
    reduced = Image.fromarray(np.round(values.astype(np.float32) / 257).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        reduced = Image.merge("LA", (reduced, Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))))
    reduced.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return reduced


def _with_info(image: Image.Image, original: Image.Image) -> Image.Image:
    image.info = {key: value for key, value in original.info.items() if key in ("icc_profile", "gamma", "srgb")}
    return image


def _in_srgb(image: Image.Image) -> Image.Image:
    """L, RGB, CMYK or LAB as RGB."""
    profile = image.info.get("icc_profile")
    if image.mode == "LAB":
        return _converted(image, LAB)
    if profile:
        try:
            opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = MODES.get(profile[SPACE])
            if mode == image.mode:
                return _converted(image, opened)
            # Grey photos often carry the RGB profile of the program that saved them.
            if mode == "RGB" and image.mode == "L":
                return _converted(image.convert("RGB"), opened)
        # A damaged profile says nothing about the pixels; Pillow reports it by many exceptions.
        except Exception:
            pass
    elif "srgb" not in image.info and image.mode in ("L", "RGB"):
        image = _without_gamma(image, image.info.get("gamma"))
    return image.convert("RGB")


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    # Perceptual, as browsers do; the same as relative colorimetric for the matrix profiles of cameras and screens.
    # LittleCMS's table for speed is too coarse for the dark end of linear grey (12 levels off), good for colours.
    flags = ImageCms.Flags.NOOPTIMIZE if image.mode == "L" else ImageCms.Flags.NONE
    shown = ImageCms.profileToProfile(
        image, profile, SRGB, renderingIntent=ImageCms.Intent.PERCEPTUAL, outputMode="RGB", flags=flags
    )
    assert shown is not None
    return shown


def _without_gamma(image: Image.Image, gamma: float | None) -> Image.Image:
    """Samples that are light to the power of `gamma`, as a png's gAMA says, as sRGB."""
    if not gamma or USUAL_GAMMA[0] < gamma < USUAL_GAMMA[1]:
        return image
    light = np.linspace(0, 1, 256) ** (1 / gamma)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return image.point([round(255 * value) for value in encoded.tolist()] * len(image.getbands()))
