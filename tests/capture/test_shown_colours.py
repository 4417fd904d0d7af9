"""Pixels as a browser shows them: colour profiles, gamma, depth, and metadata that Pillow chokes on."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFilter, PngImagePlugin

from emoca_jax.capture.images import as_photo, read_photo
from emoca_jax.capture.png_texts import LARGEST_TEXT
from emoca_jax.errors import InputError
from tests.capture.test_images import picture, png_16

EXAMPLES = Path(__file__).parents[2] / "examples"


def curve(gamma):
    """The 'curv' tag of a power law; 8.8 fixed point."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def xyz(values):
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def profile(space, tags):
    """An ICC version 2 display profile, written by hand from the specification ICC.1:2001-04."""
    tags = {"wtpt": xyz((0.9642, 1, 0.8249))} | tags
    directory, blob, start = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        directory += struct.pack(">4sII", name.encode(), start + len(blob), len(data))
        blob += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(blob), bytes(4), 0x02100000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + directory + blob


SRGB_COLUMNS = {
    "rXYZ": (0.43607, 0.22249, 0.01392),
    "gXYZ": (0.38515, 0.71687, 0.09708),
    "bXYZ": (0.14307, 0.06061, 0.71410),
}
"""sRGB's primaries, adapted to D50."""
P3 = {"rXYZ": (0.51512, 0.24120, -0.00105), "gXYZ": (0.29198, 0.69225, 0.04189), "bXYZ": (0.15710, 0.06657, 0.78407)}
"""Display P3's primaries, adapted to D50 (as Apple's profile has them)."""


def rgb_profile(columns, gamma):
    tags = {name: xyz(value) for name, value in columns.items()}
    return profile(b"RGB ", tags | {f"{channel}TRC": curve(gamma) for channel in "rgb"})


def encoded(light):
    """Linear light in [0, 1] as sRGB in [0, 255]. Source: IEC 61966-2-1."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def shown_by_p3(pixels, gamma):
    """Display P3 with a power law to sRGB, by the definition of both."""
    light = (pixels / 255) ** gamma @ np.array([*P3.values()]) @ np.linalg.inv([*SRGB_COLUMNS.values()])
    return encoded(light.clip(0, 1))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tiff", "a.avif"])
def test_a_phone_s_wide_colours_become_srgb(tmp_path, name):
    photo = Image.fromarray(picture(40, 56))
    photo.save(tmp_path / name, icc_profile=rgb_profile(P3, 2.2), quality=100, lossless=True, subsampling="4:4:4")
    with Image.open(tmp_path / name) as stored:
        expected = shown_by_p3(np.asarray(stored), 2.2)
    difference = np.abs(read_photo(tmp_path / name).pixels - expected)
    assert difference.max() <= 3 and np.abs(expected - picture(40, 56)).max() > 20


def test_red_and_blue_exchanged_by_the_profile(tmp_path):
    exchanged = SRGB_COLUMNS | {"rXYZ": SRGB_COLUMNS["bXYZ"], "bXYZ": SRGB_COLUMNS["rXYZ"]}
    with Image.open(EXAMPLES / "astronaut.jpg") as photo:
        photo.save(tmp_path / "straight.png", icc_profile=rgb_profile(SRGB_COLUMNS, 2.2))
        blue_first = Image.merge("RGB", photo.split()[::-1])
    blue_first.save(tmp_path / "exchanged.png", icc_profile=rgb_profile(exchanged, 2.2))
    straight = read_photo(tmp_path / "straight.png").pixels.astype(int)
    np.testing.assert_allclose(read_photo(tmp_path / "exchanged.png").pixels.astype(int), straight, atol=2)


def test_srgb_itself_and_unreadable_or_foreign_profiles_change_nothing(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = profile(b"GRAY", {"kTRC": curve(1.0)})
    for number, data in enumerate((srgb, srgb[:200], b"nonsense", bytes(4000), grey)):
        Image.fromarray(picture()).save(tmp_path / f"{number}.png", icc_profile=data)
        np.testing.assert_allclose(read_photo(tmp_path / f"{number}.png").pixels.astype(int), picture(), atol=1)


@pytest.mark.parametrize("mode", ["L", "LA", "deep"])
def test_a_grey_profile(tmp_path, mode):
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8), (20, 256))
    linear = profile(b"GRAY", {"kTRC": curve(1.0)})
    if mode == "deep":
        Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "a.png", icc_profile=linear)
    else:
        Image.fromarray(ramp).convert(mode).save(tmp_path / "a.png", icc_profile=linear)
    expected = encoded(ramp[0] / 255)
    np.testing.assert_allclose(read_photo(tmp_path / "a.png").pixels[0], np.tile(expected[:, None], 3), atol=2)


def test_a_grey_photo_with_the_profile_of_a_screen(tmp_path):
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8), (20, 256))
    Image.fromarray(ramp).save(tmp_path / "a.png", icc_profile=rgb_profile(P3, 1.0))
    expected = encoded(ramp[0] / 255)
    np.testing.assert_allclose(read_photo(tmp_path / "a.png").pixels[0, :, 1], expected, atol=2)


def ink_profile():
    """White paper, black where inks lie, but full cyan alone prints a strong blue: a table of corners ('mft1')."""
    corners = np.indices((2, 2, 2, 2)).reshape(4, -1).T
    lab = np.where(corners.sum(1, keepdims=True) > 0, [0, 128, 128], [255, 128, 128])
    lab[corners @ [1, 2, 4, 8] == 1] = [128, 128, 40]
    steps = np.arange(256, dtype=np.uint8)
    table = b"mft1" + bytes(4) + struct.pack(">4B", 4, 3, 2, 0)
    table += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += np.tile(steps, 4).tobytes() + lab.astype(np.uint8).tobytes() + np.tile(steps, 3).tobytes()
    made = bytearray(profile(b"CMYK", {"A2B0": table}))
    made[12:16], made[20:24] = b"prtr", b"Lab "
    return bytes(made)


@pytest.mark.parametrize("name", ["a.jpg", "a.tiff"])
def test_inks_by_their_profile(tmp_path, name):
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    cyan.save(tmp_path / name, icc_profile=ink_profile(), quality=100)
    # Lab (50.2, 0, -88) lies outside of sRGB: red 0, a strong blue. Pillow's own cyan is (0, 255, 255).
    red, green, blue = read_photo(tmp_path / name).pixels[16, 16].tolist()
    assert red < 30 and 100 < green < 160 and blue > 240
    cyan.save(tmp_path / name, quality=100)
    np.testing.assert_allclose(read_photo(tmp_path / name).pixels[16, 16].astype(int), [0, 255, 255], atol=3)


def test_lab_is_a_colour_space_like_others(tmp_path):
    # CIE Lab of mid grey and of sRGB's pure red under D50 (Lindbloom): 53.6, 0, 0 and 54.3, 80.8, 69.9; zero is 128.
    for lab, expected in (((137, 128, 128), (128, 128, 128)), ((138, 209, 198), (255, 0, 0))):
        Image.new("LAB", (32, 32), lab).save(tmp_path / "a.tiff")
        np.testing.assert_allclose(read_photo(tmp_path / "a.tiff").pixels[16, 16].astype(int), expected, atol=6)


def test_the_gamma_of_a_png(tmp_path):
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (20, 256, 3))
    for gamma, chunks, linear in ((100000, (), True), (45455, (), False), (100000, (b"sRGB\0",), False)):
        texts = PngImagePlugin.PngInfo()
        texts.add(b"gAMA", struct.pack(">I", gamma))
        for chunk in chunks:
            texts.add(chunk[:4], chunk[4:])
        Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "a.png", pnginfo=texts)
        shown = read_photo(tmp_path / "a.png").pixels[0, :, 0]
        np.testing.assert_allclose(shown, encoded(ramp[0, :, 0] / 255) if linear else ramp[0, :, 0], atol=1)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


BIG = b"x" * (LARGEST_TEXT + (2 << 20))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
METADATA = {
    "a text of 2 MB": chunk(b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(b"x" * (2 << 20))),
    "a profile of 2 MB": chunk(b"iCCP", b"ICC\0\0" + zlib.compress(SRGB + bytes(2 << 20))),
    "a huge packed text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(BIG)),
    "a huge international text": chunk(b"iTXt", b"Comment\0\1\0en\0Kommentar\0" + zlib.compress(BIG)),
    "a huge plain text": chunk(b"tEXt", b"Comment\0" + BIG),
    "a huge plain international text": chunk(b"iTXt", b"Comment\0\0\0\0\0" + BIG),
    "a huge profile": chunk(b"iCCP", b"ICC\0\0" + zlib.compress(BIG)),
    "a hundred large texts": 100 * chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * (1 << 20))),
    "a text that cannot be unpacked": chunk(b"zTXt", b"Comment\0\0nonsense"),
}


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.parametrize("place", ["before", "after"])
def test_metadata_of_any_size_do_not_hide_the_pixels(tmp_path, name, place):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    start = 33 if place == "before" else data.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(data[:start] + METADATA[name] + data[start:])
    np.testing.assert_allclose(read_photo(tmp_path / "a.png").pixels.astype(int), picture(), atol=1)
    assert PngImagePlugin.MAX_TEXT_CHUNK == 1 << 20, "other users of Pillow keep its limits"


def turned(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


KINDS = {
    "turned.jpg": (lambda photo: photo.transpose(Image.Transpose.ROTATE_90), turned),
    "turned.tiff": (lambda photo: photo.transpose(Image.Transpose.ROTATE_90), turned),
    "turned.avif": (lambda photo: photo.transpose(Image.Transpose.ROTATE_90), turned),
    "cmyk.jpg": (lambda photo: photo.convert("CMYK"), None),
    "palette.png": (lambda photo: photo.quantize(64), None),
    "palette.gif": (lambda photo: photo.quantize(64), None),
    "deep.png": (lambda photo: Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257), None),
    "clear.png": (lambda photo: photo.convert("RGBA").filter(ImageFilter.GaussianBlur(1)), None),
    "grey.png": (lambda photo: photo.convert("L"), None),
    "p3.png": (lambda photo: photo, lambda photo: {"icc_profile": rgb_profile(P3, 2.2)}),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_pil_image_is_what_its_file_is(tmp_path, name):
    make, options = KINDS[name]
    photo = Image.fromarray(picture())
    if name == "clear.png":
        photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    make(photo).save(tmp_path / name, **({} if options is None else options(photo)))
    by_path = read_photo(tmp_path / name).pixels
    with Image.open(tmp_path / name) as opened:
        before = opened.mode
        np.testing.assert_array_equal(as_photo(opened).pixels, by_path)
        assert opened.mode == before
        np.testing.assert_array_equal(as_photo(opened).pixels, by_path, "a second time, now that it is loaded")
    assert by_path.shape == (40, 56, 3)
    if name.startswith("turned"):
        np.testing.assert_allclose(by_path.astype(int), picture(), atol=20)


def test_pil_images_that_have_no_meaning_say_so():
    for image, says in (
        (Image.new("F", (20, 20)), "floating-point"),
        (Image.fromarray(np.full((20, 20), 1 << 20, np.int32)), "more than 16 bits"),
        (Image.new("RGB", (3, 3)), "3 x 3"),
    ):
        with pytest.raises(InputError, match=f"^image: has .*{says}"):
            as_photo(image)


def test_rgb_of_sixteen_bits_with_a_profile(tmp_path):
    data = png_16(picture().astype(np.uint16) * 257)
    packed = chunk(b"iCCP", b"ICC\0\0" + zlib.compress(rgb_profile(P3, 2.2)))
    (tmp_path / "a.png").write_bytes(data[:33] + packed + data[33:])
    np.testing.assert_allclose(read_photo(tmp_path / "a.png").pixels, shown_by_p3(picture(), 2.2), atol=3)
