"""Files on which Pillow and a browser differ: what Chromium (headless, asked for its pixels) shows is right."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, features

from emoca_jax.capture.images import Photo, as_photo, read_photo

HEIGHT, WIDTH = 64, 96
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def picture() -> Image.Image:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[: HEIGHT // 2], pixels[HEIGHT // 2 :] = (200, 30, 40), (20, 160, 60)
    pixels[HEIGHT // 2 :, WIDTH // 2 :] = (30, 40, 220)
    return Image.fromarray(pixels)


def assert_upright(photo: Photo) -> None:
    """Lossy formats smear a few pixels along edges; a turned picture is off by 100 on average."""
    assert photo.pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(photo.pixels.astype(int) - np.asarray(picture())).mean() < 8
    np.testing.assert_array_equal(photo.scale, [1, 1])


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif"])
def test_an_orientation_in_xmp_turns_nothing(tmp_path, name):
    """Programs that turn the pixels often leave it; Pillow goes by it where EXIF has none."""
    if name == "a.avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP)
    options = {"pnginfo": text} if name == "a.png" else {"xmp": XMP.encode(), "quality": 95}
    picture().save(tmp_path / name, **options)
    with Image.open(tmp_path / name) as image:
        assert image.getexif().get(0x0112) == 6, "Pillow does not mind"
        assert_upright(as_photo(image))
    assert_upright(read_photo(tmp_path / name))


@pytest.mark.parametrize("name", ["a.tif", "a.webp", "a.avif"])
def test_formats_beside_jpg_and_png_are_turned_upright(tmp_path, name):
    if name == "a.avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().transpose(Image.Transpose.ROTATE_90).save(tmp_path / name, exif=exif, quality=95)
    assert_upright(read_photo(tmp_path / name))


def test_what_a_gif_leaves_free_of_its_canvas_is_white(tmp_path):
    stored = io.BytesIO()
    picture().quantize(4).save(stored, "GIF")
    file = bytearray(stored.getvalue())
    file[6:10] = struct.pack("<HH", 2 * WIDTH, 2 * HEIGHT)
    place = file.index(b"\x2c" + bytes(4)) + 1
    file[place : place + 4] = struct.pack("<HH", WIDTH // 2, HEIGHT // 2)
    (tmp_path / "a.gif").write_bytes(file)
    expected = np.full((2 * HEIGHT, 2 * WIDTH, 3), 255)
    expected[HEIGHT // 2 : HEIGHT // 2 + HEIGHT, WIDTH // 2 : WIDTH // 2 + WIDTH] = np.asarray(picture())
    np.testing.assert_array_equal(read_photo(tmp_path / "a.gif").pixels, expected)


def test_a_shade_of_sixteen_bits_that_is_transparent_is_white(tmp_path):
    shades = np.repeat(np.array([[1000, 2570], [30001, 51400]], np.uint16), 20, axis=0).repeat(20, axis=1)
    stored = io.BytesIO()
    Image.fromarray(shades).save(stored, "PNG")
    transparent = b"tRNS" + struct.pack(">H", 2570)
    chunk = struct.pack(">I", 2) + transparent + struct.pack(">I", zlib.crc32(transparent))
    after_header = 8 + 25
    (tmp_path / "a.png").write_bytes(stored.getvalue()[:after_header] + chunk + stored.getvalue()[after_header:])
    pixels = read_photo(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(pixels[::20, ::20, 0], [[4, 255], [117, 200]])
