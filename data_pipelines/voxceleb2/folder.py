"""VoxCeleb2's official folder to samples: a few frames of every clip, by identity."""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.error import FFmpegError

from data_pipelines.faces import FIELDS, IDENTITY
from data_pipelines.official import folders_in
from data_pipelines.samples import Description, Numbers, Picture, Sample, Split, Words, nonempty, numbered
from emoca_jax.errors import InputError

MOMENTS = (0.125, 0.375, 0.625, 0.875)
"""Where in a clip its frames are taken, as parts of its length: clips last 4 to 20 seconds, neighbours look alike."""
JPEG_QUALITY = 95
SETS = {"dev": "train", "test": "test"}
"""Official set -> split. Identities of the two are different."""

DESCRIPTION = Description(
    name="voxceleb2",
    version="1.0.0",
    about=f"""VoxCeleb2: {len(MOMENTS)} frames of every clip of talking faces.

Clips are 224 x 224 videos around a tracked face; their frames are encoded as JPEG of quality {JPEG_QUALITY}, without
landmarks.""",
    source="Chung, Nagrani, Zisserman; robots.ox.ac.uk/~vgg/data/voxceleb, videos for research only.",
    citation="""@inproceedings{voxceleb2,
  author = {Chung, Joon Son and Nagrani, Arsha and Zisserman, Andrew},
  title = {{VoxCeleb2}: Deep Speaker Recognition},
  booktitle = {Interspeech},
  year = {2018},
}""",
    fields={
        **FIELDS,
        "image": Picture("The frame, as a JPEG."),
        "identity": IDENTITY,
        "video": Words("The video that the clip was cut from."),
        "moment": Numbers("Where in the clip the frame was taken, as a part of its length."),
    },
    folder="dev/mp4/ and test/mp4/, each with one folder an identity (id00012/21Uxsk56VDQ/00001.mp4)",
)


class Row(NamedTuple):
    """One frame of a clip."""

    folder: str
    identity: str
    video: str
    clip: str
    moment: int


def find(folder: Path) -> dict[str, Split]:
    """The frames of the clips that are there. Errors: InputError, one sentence that names what is missing."""
    splits = {}
    for official, ours in SETS.items():
        place = folder / official / "mp4"
        if place.is_dir():
            rows = [Row(os.fspath(place), *clip, i) for clip in _clips(place) for i in range(len(MOMENTS))]
            splits[ours] = Split(rows, read, {"identity": numbered([row.identity for row in rows])})
    if not splits:
        raise InputError(f"{folder}: dev/mp4/ and test/mp4/ are missing; give {DESCRIPTION.folder}")
    return nonempty(splits, folder, f"give {DESCRIPTION.folder}")


def read(row: Row) -> Sample:
    """The sample of a frame."""
    file = f"{row.identity}/{row.video}/{row.clip}"
    return {
        "image": _frames(os.path.join(row.folder, file))[row.moment],
        "file": file,
        "identity": row.identity,
        "video": row.video,
        "moment": np.float32(MOMENTS[row.moment]),
    }


def _clips(place: Path) -> list[tuple[str, str, str]]:
    clips = []
    for identity in folders_in(place):
        for video in folders_in(identity):
            names = sorted(path.name for path in video.glob("*.mp4"))
            if not names:
                raise InputError(f"{video}: has no clip (00001.mp4); unpack the rest of the archive")
            clips += [(identity.name, video.name, name) for name in names]
    return clips


# The frames of a clip are asked for one after the other.
@functools.lru_cache(maxsize=4)
def _frames(path: str) -> tuple[bytes, ...]:
    """The clip's frames at `MOMENTS`, as JPEG. Errors: InputError naming the clip where it is damaged."""
    try:
        with av.open(path) as container:
            # One thread: the same frames in the same order, whatever is damaged.
            container.streams.video[0].thread_type = "NONE"
            frames = [frame.to_image() for frame in container.decode(video=0)]
        return tuple(_jpeg(frames[int(moment * len(frames))]) for moment in MOMENTS)
    except (FFmpegError, IndexError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:80]
        raise InputError(f"{path}: is damaged or no video ({reason}); get it again") from error


def _jpeg(image: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)  # pyright: ignore[reportAttributeAccessIssue]
    return stream.getvalue()
