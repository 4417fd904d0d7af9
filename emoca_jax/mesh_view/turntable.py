"""A mesh that turns once around itself, as .gif or .mp4."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageChops
from PIL.GifImagePlugin import getdata

from emoca_jax.files.whole import MARK
from emoca_jax.mesh_view.picture import Viewpoint

FRAMES_PER_SECOND = {".gif": 20, ".mp4": 30}
"""Of a gif, whose clock ticks in hundredths of a second, and which browsers slow down below two ticks a frame."""
CRF = "18"
"""x264's constant quality; its authors call 17 to 18 visually lossless."""
PALETTE_FRAMES = 8
"""As many frames, spread over the turn, decide the colours of the whole gif."""


def turntable_viewpoints(start: Viewpoint, frames: int) -> list[Viewpoint]:
    """Views evenly spread over one turn, beginning at `start`; the last leads on to the first."""
    return [Viewpoint(start.yaw + 360 * frame / frames, start.pitch) for frame in range(frames)]


def palette_views(views: Sequence[Viewpoint]) -> Sequence[Viewpoint]:
    """Of the views of a turn those whose frames decide the gif's colours."""
    return views[:: -(-len(views) // PALETTE_FRAMES)]


def gif(
    palette_frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
) -> bytes:
    """An endless gif of all frames with one palette, so that nothing flickers; keeps no frame but the last.

    Layout: CompuServe's GIF89a. Pillow packs the frames; it would keep them all.
    """
    strip = Image.fromarray(np.concatenate(list(palette_frames)))
    palette = strip.quantize(256, Image.Quantize.MEDIANCUT)
    colours = bytes(palette.getpalette("RGB") or []).ljust(3 * 256, b"\0")
    packed, before = bytearray(), None
    for frame in frames:
        picture = Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        if before is None:
            packed += b"GIF89a" + struct.pack("<HHBBB", *picture.size, 0xF7, 0, 0) + colours
            packed += b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
            packed += b"\x21\xfe" + bytes([len(MARK)]) + MARK.encode() + b"\0"
        # Only what has changed; a frame always has a pixel.
        box = before and ImageChops.difference(before.convert("RGB"), picture.convert("RGB")).getbbox()
        changed = picture.crop(box or ((0, 0, *picture.size) if before is None else (0, 0, 1, 1)))
        packed += struct.pack("<BBBBHBB", 0x21, 0xF9, 4, 1 << 2, 100 // FRAMES_PER_SECOND[".gif"], 0, 0)
        packed += b"".join(getdata(changed, offset=box[:2] if box else (0, 0)))
        before = picture
    return bytes(packed) + b";"


def mp4(frames: Iterable[UInt8[np.ndarray, "height width 3"]], size: tuple[int, int]) -> bytes:
    """H.264 in an .mp4: what every browser and phone shows. size: height and width of the frames, none of them kept."""
    import av

    height, width = size
    packed = io.BytesIO()
    with av.open(packed, "w", format="mp4") as container:
        container.metadata["comment"] = MARK
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND[".mp4"], options={"crf": CRF})
        # Colour is stored at half the resolution, so both sides have to be even.
        stream.width, stream.height = width + width % 2, height + height % 2
        rows, columns = (np.minimum(np.arange(side + side % 2), side - 1) for side in (height, width))
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            even = frame[rows][:, columns]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return packed.getvalue()
