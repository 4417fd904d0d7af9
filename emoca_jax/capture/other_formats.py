"""Files that are no photos this package opens: what they are, told by their bytes or their suffix, and what to do."""

from __future__ import annotations

from emoca_jax.files.failed_downloads import failed_download, packed

HEIC = "a HEIC photo: export it as JPEG"
RAW = "a raw photo: export it as JPEG"
VIDEO = "a video: take single frames out of it"
UNSHOWN = "a picture that no browser shows: export it as png"
SUFFIXES = (
    dict.fromkeys((".heic", ".heif", ".hif", ".heics"), HEIC)
    | dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"), RAW)
    | dict.fromkeys((".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".3gp"), VIDEO)
    | {".jxl": "a JPEG XL photo: export it as JPEG"}
    | dict.fromkeys((".svg", ".eps", ".ps", ".ai"), "a drawing: export it as png")
    | dict.fromkeys((".ico", ".cur", ".icns"), "an icon: export it as png")
    | dict.fromkeys((".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".pcx", ".sgi", ".qoi", ".dds", ".exr", ".hdr"), UNSHOWN)
    | dict.fromkeys((".jp2", ".j2k", ".jpx"), "a JPEG 2000 photo: export it as JPEG")
    | dict.fromkeys((".psd", ".xcf", ".kra"), "a project of a painting program: export it as png")
    | {".pdf": "a PDF: take the photo out of it"}
)
"""Suffix in small letters -> what such a file is, a phrase that follows "is"."""
SIGNS = {
    b"\xff\x0a": SUFFIXES[".jxl"],
    b"\0\0\0\x0cJXL ": SUFFIXES[".jxl"],
    b"\0\0\0\x0cjP  ": SUFFIXES[".jp2"],
    b"\xff\x4f\xff\x51": SUFFIXES[".jp2"],
    b"8BPS": SUFFIXES[".psd"],
    b"gimp xcf": SUFFIXES[".xcf"],
    b"%PDF": SUFFIXES[".pdf"],
    b"<svg": SUFFIXES[".svg"],
    b"%!PS": SUFFIXES[".eps"],
    b"\0\0\1\0": SUFFIXES[".ico"],
    b"icns": SUFFIXES[".icns"],
    b"P5\n": UNSHOWN,
    b"P6\n": UNSHOWN,
    b"qoif": UNSHOWN,
    b"DDS ": UNSHOWN,
    b"\x1a\x45\xdf\xa3": VIDEO,
}
"""First bytes -> the same."""
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif")
AVIF_BRANDS = (b"avif", b"avis")


def what_it_is(start: bytes, suffix: str) -> str | None:
    """What a file that cannot be opened is, by its first bytes, else by its suffix: a phrase that follows "is".

    start: 100 bytes or more. None where neither tells.
    """
    if start[4:8] == b"ftyp":
        # Brands stand in a box: the main one, a version, those it goes with.
        brands = [start[place : place + 4] for place in range(8, min(int.from_bytes(start[:4], "big"), len(start)), 4)]
        if any(brand in AVIF_BRANDS for brand in brands):
            return "an AVIF photo that this Pillow cannot open: update Pillow, or export it as JPEG"
        return HEIC if any(brand in HEIC_BRANDS for brand in brands) else VIDEO
    told = next((what for sign, what in SIGNS.items() if start.startswith(sign)), None)
    return told or failed_download(start) or packed(start) or SUFFIXES.get(suffix.lower())
