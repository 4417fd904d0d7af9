"""What the Python API says of arguments that make no sense: one sentence, as an InputError."""

import numpy as np
import pytest

import emoca_jax as ej
from emoca_jax.export.emotion_files import save_emotion
from emoca_jax.jobs import read_emotion
from emoca_jax.mesh_view.picture import Viewpoint, draw_views
from emoca_jax.texture.layout import texture_layout
from tests.export.made_up_face import made_up_face, made_up_head
from tests.mesh_view.test_mesh_files import read_mesh, save, square_glb

FACE = made_up_face()


class Model:
    """Enough of one for what is refused before it is asked."""

    detector = person = fitted = None


PHOTO = np.zeros((64, 64, 3), np.uint8)
WRONG = {
    "faces": lambda folder: ej.reconstruct(Model(), PHOTO, faces="nonsense"),
    "faces 3": lambda folder: ej.reconstruct(Model(), PHOTO, faces=3),
    "faces of emotions": lambda folder: read_emotion.read_emotion(Model(), PHOTO, faces="first"),
    "model that is a name": lambda folder: ej.reconstruct("open", PHOTO),
    "model of emotions": lambda folder: read_emotion.read_emotion(5, PHOTO),
    "formats as text": lambda folder: FACE.save(folder / "a", "glb"),
    "formats none": lambda folder: FACE.save(folder / "a", []),
    "formats number": lambda folder: FACE.save(folder / "a", 5),
    "formats with a number": lambda folder: FACE.save(folder / "a", ("glb", 5)),
    "formats in a list": lambda folder: FACE.save(folder / "a", [["glb"]]),
    "image that is bytes": lambda folder: ej.reconstruct(Model(), b"\xff\xd8\xff"),
    "image none": lambda folder: ej.reconstruct(Model(), None),
    "image that is a list": lambda folder: ej.reconstruct(Model(), ["a.jpg"]),
    "images none": lambda folder: ej.reconstruct_person(Model(), None),
    "images that are one": lambda folder: ej.reconstruct_person(Model(), PHOTO),
    "model of a person that is a name": lambda folder: ej.reconstruct_person("open", [PHOTO, PHOTO]),
    "name": lambda folder: ej.load_model(5),
    "name empty": lambda folder: ej.load_model(""),
    "name bytes": lambda folder: ej.load_model(b"open"),
    "name of emotions": lambda folder: read_emotion.load_emotion_model(None),
    "source": lambda folder: ej.load_head(5),
    "source of the model": lambda folder: ej.load_model(head=5),
    "path empty": lambda folder: FACE.save(""),
    "path dots": lambda folder: FACE.save(".."),
    "path number": lambda folder: FACE.save(5),
    "path of emotions": lambda folder: save_emotion(FACE, "/"),
    "size": lambda folder: FACE.save(folder / "a", ["png"], size=-5),
    "size text": lambda folder: FACE.save(folder / "a", ["png"], size="384"),
    "size of textures": lambda folder: texture_layout(made_up_head(), size=-1),
    "size of pictures": lambda folder: next(draw_views(mesh(folder), [Viewpoint(0, 0)], -5)),
}


def mesh(folder):
    return read_mesh(save(folder / "a.glb", square_glb()))


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize("case", WRONG)
def test_one_sentence(tmp_path, case):
    with pytest.raises(ej.InputError, match=rf"^{case.split()[0]} must (be|end) .*, not .*\.$"):
        WRONG[case](tmp_path)
    assert all(path.name == "a.glb" for path in tmp_path.iterdir())
