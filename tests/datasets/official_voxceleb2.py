"""Three made-up clips in VoxCeleb2's official folder: frame i of clip c is uniformly grey, 16 c + 14 i."""

from pathlib import Path

import av
import numpy as np

CLIPS = {"dev": ["id00012/aaa/00001", "id00015/bbb/00001"], "test": ["id00017/ccc/00002"]}
FRAMES = 16


def make(folder: Path) -> None:
    """Write the folder."""
    for part, clips in CLIPS.items():
        for number, clip in enumerate(clips):
            write_clip(folder / part / "mp4" / f"{clip}.mp4", 16 * number)


def write_clip(path: Path, darkest: int) -> None:
    """A video of `FRAMES` frames that become brighter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for i in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), darkest + 14 * i, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
