"""What often lies where a downloaded file should be: a web page, a git-lfs pointer, an archive that is still packed."""

from __future__ import annotations

WEB_PAGES = (b"<!doctype html", b"<html", b"<head", b"<script", b"<?xml")
"""How pages of a login and errors of cloud storage begin, in any case."""
LFS_POINTER = b"version https://git-lfs"
ARCHIVES = {
    b"\x1f\x8b": "a gzip",
    b"BZh": "a bzip2",
    b"\xfd7zXZ\0": "an xz",
    b"\x28\xb5\x2f\xfd": "a zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z",
    b"Rar!\x1a\x07": "a rar",
    b"PK\x03\x04": "a zip",
}
"""First bytes -> name with its article."""
UNPACK = "unpack it first"


def failed_download(start: bytes) -> str | None:
    """What a file is by its first 100 bytes or more, and what to do: a phrase that follows "is".

    None where it is neither web page nor pointer.
    """
    if start.startswith(LFS_POINTER):
        return "a git-lfs pointer: get the file that it stands for with `git lfs pull`"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(WEB_PAGES) and b"<svg" not in text:
        return "a web page: download it again while logged in"
    return None


def packed(start: bytes) -> str | None:
    """As `failed_download`, of a packed archive."""
    name = next((name for sign, name in ARCHIVES.items() if start.startswith(sign)), None)
    return name and f"{name} archive: {UNPACK}"
