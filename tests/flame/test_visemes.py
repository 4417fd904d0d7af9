"""The mouth shapes of speech on the open head, as a phonetician would describe them."""

import numpy as np
import pytest

from emoca_jax import flame
from emoca_jax.errors import InputError
from tests.flame.small_head import small_head

CORNERS, INNER_LIPS, FACE = (61, 291), (13, 14), (234, 454)
"""MediaPipe's points: mouth corners, middle of the upper and lower inner lip, widest points of the face."""
OCULUS = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")


@pytest.fixture(scope="module")
def spoken():
    """By viseme: how wide and how open the mouth is, how far the tongue reaches before the upper teeth; millimetres."""
    head = flame.load_head("open")
    row = {point: index for index, point in enumerate(np.asarray(head.mediapipe_index).tolist())}
    vertices = 1000 * np.asarray(
        flame.unposed_vertices(head, np.zeros(head.shape_dirs.shape[-1]), flame.viseme_codes(head))
    )
    faces, part = np.asarray(head.faces), np.asarray(head.face_part)
    tongue, teeth = (np.unique(faces[part == head.part_names.index(name)]) for name in ("tongue", "teeth"))
    upper = teeth[np.asarray(head.skin_weights)[teeth, head.joint_names.index("jaw")] < 0.5]
    found = {}
    for name, shown in zip(flame.VISEMES, vertices, strict=True):
        points = np.asarray(flame.landmarks_mediapipe(head, shown))
        width = np.linalg.norm(points[row[CORNERS[0]]] - points[row[CORNERS[1]]])
        gap = points[row[INNER_LIPS[0]], 1] - points[row[INNER_LIPS[1]], 1]
        found[name.removeprefix("viseme_")] = width, gap, shown[tongue, 2].max() - shown[upper, 2].max()
    return found


def test_names_and_order_are_those_of_oculus(spoken):
    assert tuple(spoken) == OCULUS


def test_lips_close_open_spread_and_round_as_sounds_do(spoken):
    width, gap = ({name: values[i] for name, values in spoken.items()} for i in (0, 1))
    assert gap["sil"] < 1 and gap["PP"] < 1, "p, b and m are made with closed lips"
    assert max(gap, key=gap.__getitem__) == "aa" and gap["aa"] > 12
    assert gap["aa"] > gap["E"] > gap["I"] > gap["sil"] + 2 and gap["O"] > gap["U"] > gap["sil"] + 1
    rounded, spread = ("CH", "RR", "O", "U"), ("SS", "E", "I")
    assert max(width[name] for name in rounded) < 0.95 * width["sil"]
    assert min(width[name] for name in spread) > width["sil"]


def test_the_tongue_comes_between_the_teeth_for_th_alone(spoken):
    tongue = {name: values[2] for name, values in spoken.items()}
    assert tongue["TH"] > max(value for name, value in tongue.items() if name != "TH") + 3


def test_a_head_without_arkit_units_says_so():
    assert not flame.has_visemes(small_head())
    with pytest.raises(InputError, match="no ARKit units"):
        flame.viseme_codes(small_head())
