"""`emoca reconstruct` on photos of made-up faces: the slow part of the command left out."""

from dataclasses import replace

from PIL import Image

from emoca_jax.capture.images import as_photo
from emoca_jax.cli import main
from emoca_jax.errors import InputError
from tests.export.made_up_face import made_up_face

MADE_UP = made_up_face()


def made_up_reconstruct(model, image, *, faces="all", method=None):
    """Two faces on every photo that can be read, none on a wall."""
    photo = as_photo(image)
    assert photo.source is not None
    if "wall" in photo.source.name:
        raise InputError(f"{photo.source} shows no face that can be found")
    found = [replace(MADE_UP, source=photo.source, face=index) for index in (0, 1)]
    return found[:1] if faces == "largest" else found


def photo(path):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(MADE_UP.photo).save(path)
    return str(path)


def run(photos, *arguments, form="json"):
    return main(["reconstruct", *map(str, arguments), "--output", str(photos / "out"), "--format", form])


def written(photos):
    return sorted(path.name for path in (photos / "out").iterdir())
