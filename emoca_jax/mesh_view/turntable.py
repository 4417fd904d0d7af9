"""A mesh that turns once around itself, as .gif or .mp4."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from emoca_jax.mesh_view.picture import Viewpoint
from emoca_jax.whole_files import MARK

FRAMES_PER_SECOND = {".gif": 20, ".mp4": 30}
"""Of a gif, whose clock ticks in hundredths of a second, and which browsers slow down below two ticks a frame."""
CRF = "18"
"""x264's constant quality; its authors call 17 to 18 visually lossless."""
PALETTE_FRAMES = 8
"""As many frames, spread over the turn, decide the colours of the whole gif."""


def turntable_viewpoints(start: Viewpoint, frames: int) -> list[Viewpoint]:
    """Views evenly spread over one turn, beginning at `start`; the last leads on to the first."""
    return [Viewpoint(start.yaw + 360 * frame / frames, start.pitch) for frame in range(frames)]


def gif(frames: Sequence[UInt8[np.ndarray, "height width 3"]]) -> bytes:
    """An endless gif of all frames with one palette, so that nothing flickers."""
    pictures = [Image.fromarray(frame) for frame in frames]
    chosen = pictures[:: -(-len(pictures) // PALETTE_FRAMES)]
    strip = Image.fromarray(np.concatenate([np.asarray(picture) for picture in chosen]))
    palette = strip.quantize(256, Image.Quantize.MEDIANCUT)
    indexed = [picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for picture in pictures]
    packed = io.BytesIO()
    indexed[0].save(
        packed,
        "GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=1000 // FRAMES_PER_SECOND[".gif"],
        loop=0,
        disposal=1,
        comment=MARK.encode(),
    )
    return packed.getvalue()


def mp4(frames: Sequence[UInt8[np.ndarray, "height width 3"]]) -> bytes:
    """H.264 in an .mp4: what every browser and phone shows."""
    import av

    height, width = frames[0].shape[:2]
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
