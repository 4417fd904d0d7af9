"""Three made-up photos of two people in the NoW challenge's official folder, without its scans."""

import io
from pathlib import Path

import numpy as np

from tests.datasets.pictures import picture, write

PHOTOS = {
    "imagepathsvalidation.txt": [
        "FaMoS_180424_03335_TA/multiview_neutral/IMG_0041.jpg",
        "FaMoS_180424_03335_TA/selfie/IMG_0052.jpg",
    ],
    "imagepathstest.txt": ["FaMoS_180426_03336_TA/multiview_occlusions/IMG_0001.jpg"],
}
BOX = {"left": 10.0, "top": 4.0, "right": 30.0, "bottom": 34.0}


def make(folder: Path) -> None:
    """Write the folder; boxes are pickled dictionaries, as in the official one."""
    release = folder / "final_release_version"
    for name, photos in PHOTOS.items():
        write(folder / name, "\n".join(photos) + "\n")
        for number, photo in enumerate(photos):
            write(release / "iphone_pictures" / photo, picture(number + len(name)))
            stream = io.BytesIO()
            np.save(stream, np.array(BOX, object), allow_pickle=True)
            write(release / "detected_face" / photo.replace(".jpg", ".npy"), stream.getvalue())
