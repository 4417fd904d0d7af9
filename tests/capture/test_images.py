"""Photos of every kind become the same upright RGB; everything else a sentence."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from emoca_jax.capture import images
from emoca_jax.capture.images import as_photo, check_array, find_images, read_photo
from emoca_jax.errors import InputError


def picture(height=40, width=56):
    """Smooth colours, different in every corner, so that any turn or swapped channel shows."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.round(np.stack([255 * x, 255 * y, 255 * (1 - x) * (1 - y)], -1)).astype(np.uint8)


def png_16(array):
    """A 16-bit png, written by hand: Pillow writes none with colours."""
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[2]]

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.jfif", "a.png", "a.webp", "a.BMP", "a.tiff", "a.TIF", "a.avif"])
def test_every_suffix_reads_as_the_same_picture(tmp_path, name):
    Image.fromarray(picture()).save(tmp_path / name, quality=95)
    photo = read_photo(tmp_path / name)
    assert photo.pixels.dtype == np.uint8 and photo.source == tmp_path / name
    np.testing.assert_allclose(photo.pixels.astype(int), picture(), atol=14)
    np.testing.assert_array_equal(photo.scale, [1, 1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    # EXIF standard, tag 274: on which side of the scene the file's row 0 and column 0 lie.
    row_0, column_0 = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    stored = picture() if row_0 in ("top", "bottom") else picture().swapaxes(0, 1)
    stored = stored[::-1] if row_0 in ("bottom", "right") else stored
    stored = stored[:, ::-1] if column_0 in ("bottom", "right") else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.png", "a.jpg"):
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name, exif=exif, quality=95)
        np.testing.assert_allclose(read_photo(tmp_path / name).pixels.astype(int), picture(), atol=14)


def test_grey_palette_cmyk_and_bilevel(tmp_path):
    colour = Image.fromarray(picture())
    grey = np.asarray(colour.convert("L"))
    colour.convert("L").save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "grey.png").pixels, np.repeat(grey[..., None], 3, -1))
    colour.convert("P").save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "palette.png").pixels, colour.convert("P").convert("RGB"))
    colour.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    np.testing.assert_allclose(read_photo(tmp_path / "cmyk.jpg").pixels.astype(int), picture(), atol=20)
    colour.convert("1").save(tmp_path / "one.bmp")
    assert set(np.unique(read_photo(tmp_path / "one.bmp").pixels)) == {0, 255}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_keep_their_brightness(tmp_path, channels):
    deep = np.broadcast_to(np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None], (20, 64, channels)).copy()
    if channels in (2, 4):
        deep[..., -1] = 65535
    (tmp_path / "deep.png").write_bytes(png_16(deep))
    pixels = read_photo(tmp_path / "deep.png").pixels
    np.testing.assert_allclose(pixels[0, :, 1], np.linspace(0, 255, 64), atol=1.01)


def test_transparency_lies_on_white(tmp_path):
    alpha = np.zeros((40, 56, 1), np.uint8)
    alpha[:, 28:] = 255
    Image.fromarray(np.concatenate([picture(), alpha], -1)).save(tmp_path / "a.png")
    for pixels in (read_photo(tmp_path / "a.png").pixels, check_array(np.concatenate([picture(), alpha], -1)).pixels):
        assert (pixels[:, :28] == 255).all()
        np.testing.assert_array_equal(pixels[:, 28:], picture()[:, 28:])


@pytest.mark.parametrize("name", ["a.webp", "a.gif", "a.png", "a.tiff", "a.avif"])
def test_an_animation_counts_by_its_first_frame(tmp_path, name):
    frames = [Image.fromarray(picture()), Image.fromarray(255 - picture())]
    options = {"lossless": True} if name == "a.webp" else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    tolerance = {"a.gif": 30, "a.avif": 30}.get(name, 0)
    np.testing.assert_allclose(read_photo(tmp_path / name).pixels.astype(int), picture(), atol=tolerance)


def test_damaged_metadata_pass_without_a_word(tmp_path):
    """Pillow warns of them, with a line of its source."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x1e\0" + struct.pack("<HHII", 274, 3, 1, 6)  # 1 of 30 entries
    Image.fromarray(picture()).save(tmp_path / "a.jpg", quality=95, exif=exif)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        read_photo(tmp_path / "a.jpg")
        assert not heard
        with Image.open(tmp_path / "a.jpg") as image:
            image.getexif()
        assert heard, "Pillow does not mind"


def test_a_png_for_programs_that_show_no_animation_is_no_frame_of_it(tmp_path):
    """Browsers show the animation; so does this."""
    frames = [Image.fromarray(picture())] * 2
    Image.new("RGB", frames[0].size).save(tmp_path / "a.png", save_all=True, append_images=frames, default_image=True)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png").pixels, picture())
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(as_photo(image).pixels, picture())
        assert image.tell() == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"])
def test_the_name_says_nothing_about_the_format(tmp_path, kind):
    for name in ("a.jpg", "a.png", "IMG_1234"):
        Image.fromarray(picture()).save(tmp_path / name, kind)
        np.testing.assert_allclose(read_photo(tmp_path / name).pixels.astype(int), picture(), atol=30)


FTYP = b"\0\0\0\x1cftyp"
OTHERS = {
    "a.HEIC": (FTYP + b"heic\0\0\0\0mif1heicMiHB", "is a HEIC photo: export it as JPEG"),
    "b.jpg": (FTYP + b"mif1\0\0\0\0mif1heicMiHB", "is a HEIC photo: export it as JPEG"),
    "c.heif": (b"x", "is a HEIC photo: export it as JPEG"),
    "d.jpg": (FTYP + b"qt  \0\0\0\0qt  \0\0\0\0\0\0\0\0", "is a video"),
    "e.jpg": (FTYP + b"avif\0\0\0\0mif1avifmiaf" + bytes(100), "damaged|AVIF photo that this Pillow cannot open"),
    "f.CR2": (b"II*\0\x10\0\0\0CR\2\0", "is a raw photo: export it as JPEG"),
    "g.jpg": (b"\0\0\0\x0cJXL \r\n\x87\n", "is a JPEG XL photo"),
    "h.jpg": (b"\n <!DOCTYPE HTML><html>", "is a web page: download it again while logged in"),
    "i.png": (b"version https://git-lfs.github.com/spec/v1\noid", "is a git-lfs pointer"),
    "j.jpg": (b"PK\3\4", "is a zip archive: unpack it first"),
    "k.svg": (b'<?xml version="1.0"?><svg>', "is a drawing"),
    "l.jpg": (b"%PDF-1.7", "is a PDF"),
    "m.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is a drawing: export it as png"),
    "n.png": (b"\0\0\1\0\1\0\0\0\0\0\1\0\x20\0", "is an icon: export it as png"),
    "o.TGA": (bytes(18), "is a picture that no browser shows: export it as png"),
    "p.jpg": (b"P6\n2 2\n255\n", "is a picture that no browser shows"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_formats_that_are_not_read_are_named(tmp_path, name):
    data, says = OTHERS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=rf"^{tmp_path / name}: .*({says})") as told:
        read_photo(tmp_path / name)
    assert "\n" not in str(told.value)


def test_a_raw_photo_is_not_taken_for_its_thumbnail(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.NEF", "TIFF")
    with pytest.raises(InputError, match="raw photo"):
        read_photo(tmp_path / "a.NEF")


@pytest.mark.parametrize("name", ["large.jpg", "large.png", "palette.png", "deep.png"])
def test_large_files_shrink_and_tell_their_scale(tmp_path, monkeypatch, name):
    monkeypatch.setattr(images, "MAX_SIDE", 100)
    large = picture(300, 420)
    if name == "deep.png":
        (tmp_path / name).write_bytes(png_16(large[..., :1].astype(np.uint16) * 257))
    elif name == "palette.png":
        Image.fromarray(large).convert("P").save(tmp_path / name)
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.rot90(large).copy()).save(tmp_path / name, quality=95, exif=exif)
    photo = read_photo(tmp_path / name)
    assert photo.pixels.shape == (71, 100, 3)
    np.testing.assert_allclose(photo.scale, [4.2, 300 / 71], rtol=1e-6)
    expected = np.asarray(Image.fromarray(large).resize((100, 71), Image.Resampling.BOX)).astype(int)
    tolerance = 40 if name == "palette.png" else 12
    np.testing.assert_allclose(photo.pixels[..., 0].astype(int), expected[..., 0], atol=tolerance)


def test_a_twelve_thousand_pixel_jpg_reads_at_working_size(tmp_path):
    Image.new("RGB", (12000, 9000), (200, 100, 50)).save(tmp_path / "huge.jpg", quality=30)
    photo = read_photo(tmp_path / "huge.jpg")
    assert photo.pixels.shape == (3072, 4096, 3)
    np.testing.assert_allclose(photo.scale, 12000 / 4096)
    np.testing.assert_allclose(photo.pixels[1000, 1000].astype(int), [200, 100, 50], atol=4)


def jpg_bytes():
    buffer = io.BytesIO()
    Image.fromarray(picture(200, 200)).save(buffer, "JPEG")
    return buffer.getvalue()


def png_bytes():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (jpg_bytes()[:900], "damaged"),
        (png_bytes()[:3000], "damaged"),
        (png_bytes()[:1000] + b"junk" + png_bytes()[1004:], "damaged"),
        (b"dear diary", "not an image"),
        (b"", "not an image"),
        (b"\xff\xd8\xff", "not an image"),
    ],
)
def test_a_file_that_is_no_picture_says_so(tmp_path, content, says):
    (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.raises(InputError, match=rf"bad\.jpg: .*{says}"):
        read_photo(tmp_path / "bad.jpg")


def test_missing_tiny_bomb_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"none\.jpg: does not exist"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="is a folder"):
        read_photo(tmp_path)
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    with pytest.raises(InputError, match=r"one\.png: has only 1 x 1 pixels"):
        read_photo(tmp_path / "one.png")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + png_bytes()[33:])
    with pytest.raises(InputError, match=r"bomb\.png: has more than 225 megapixels"):
        read_photo(tmp_path / "bomb.png")


def test_arrays():
    expected = picture()
    np.testing.assert_array_equal(check_array(expected).pixels, expected)
    np.testing.assert_array_equal(as_photo(expected.astype(np.float32) / 255).pixels, expected)
    np.testing.assert_array_equal(check_array(expected[..., 0]).pixels, np.repeat(expected[..., :1], 3, -1))
    assert check_array(expected).source is None
    assert check_array(np.zeros((30, 5000), np.uint8)).pixels.shape == (25, 4096, 3)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.full((20, 20, 3), np.nan), "NaN"),
        (np.full((20, 20, 3), np.inf), "infinity"),
        (np.full((20, 20, 3), 255.0), "from 255 to 255"),
        (np.full((20, 20, 3), -1.0), "from -1"),
        (np.zeros((20, 20, 3), np.int32), "int32"),
        (np.zeros((20, 20, 3), bool), "bool"),
        (np.zeros((20, 20, 2), np.uint8), "shape"),
        (np.zeros((2, 20, 20, 3), np.uint8), "shape"),
        (np.zeros((3, 20, 20), np.uint8), "shape"),
        (np.zeros((1, 1, 3), np.uint8), "1 x 1"),
        (np.zeros((0, 0, 3), np.uint8), "0 x 0"),
        (np.zeros(()), "shape"),
        (np.array([["a"]]), "shape|type|only"),
    ],
)
def test_bad_arrays_say_what_to_give(array, says):
    with pytest.raises(InputError, match=says):
        check_array(array)


def test_find_images(tmp_path):
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt", "sub/c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    names = [path.name for path in find_images([tmp_path])]
    assert names == ["a.png", "b.JPG"]
    assert [path.name for path in find_images([f"{tmp_path}/**/*"])] == ["a.png", "b.JPG", "c.webp"]
    once = find_images([tmp_path / "b.JPG", tmp_path, f"{tmp_path}/?.png"])
    assert [path.name for path in once] == ["b.JPG", "a.png"]
    assert find_images([tmp_path / "notes.txt", "missing.jpg"])[1].name == "missing.jpg"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: has no image"):
        find_images([tmp_path / "empty"])
    with pytest.raises(InputError, match=r"\*\.gif: matches no image"):
        find_images([f"{tmp_path}/*.gif"])


def test_brackets_in_a_real_name_are_no_pattern(tmp_path):
    (tmp_path / "me [1].jpg").write_bytes(b"")
    assert find_images([tmp_path / "me [1].jpg"]) == [tmp_path / "me [1].jpg"]
