"""Formats that Pillow may open. Its other decoders are rare, unmaintained, or start a program (EPS: Ghostscript)."""

TEXTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "TGA")
"""Of a mesh's texture."""
MASK_FORMATS = ("PNG",)
"""Of an official mask."""
