"""The square that the segmentation network sees, and the part of its answer that lies over the crop of the face."""

import numpy as np
from PIL import Image

from emoca_jax.capture import person
from tests.nets.test_face_detection import GOLDEN


def test_the_mask_lies_over_the_crop(monkeypatch):
    """A network that answers with the picture's green channel: the mask is the crop, averaged to its pixels."""
    half = (person.SEGMENTATION_SIZE - person.PERSON_PIXELS) // 2
    within = slice(half, half + person.PERSON_PIXELS)
    monkeypatch.setattr(person, "_person", lambda _, picture: picture[within, within, 1] / np.float32(255))
    rows, columns = np.mgrid[:400, :500]
    green = (127 + 60 * np.sin(columns / 12) + 60 * np.cos(rows / 14)).astype(np.uint8)
    photo = np.stack([np.zeros_like(green), green, np.zeros_like(green)], axis=-1)
    # Wider than the photo at the left.
    centre, reach = (120.0, 210.0), 172.0
    to_pixels = np.array([[reach, 0, centre[0]], [0, reach, centre[1]], [0, 0, 1]], np.float32)
    mask = person.person_in_crop({}, photo, to_pixels)
    left, top = (round(x - reach) for x in centre)
    crop = np.pad(green, ((0, 0), (-left, 0)), mode="edge")[top : top + 344, :344]
    expected = np.asarray(Image.fromarray(crop).reduce(2), np.float32) / 255
    # Half a pixel of the mask beside it would be 3.2 grey levels; measured .6, which rounding is.
    assert mask.shape == expected.shape and np.abs(mask - expected).mean() < 1 / 255


def test_the_mask_is_the_middle_of_what_mediapipe_answers():
    with np.load(GOLDEN) as golden:
        picture = np.pad(golden["crops"][0], ((32, 32), (32, 32), (0, 0)), mode="edge")
        # Every fourth row and column, from the second and the third.
        expected = golden["person"][0]
    mask = np.asarray(person._person(person.load_person_network(), picture))
    first = (person.SEGMENTATION_SIZE - person.PERSON_PIXELS) // 2
    rows = [k for k in range(64) if first <= 1 + 4 * k < first + person.PERSON_PIXELS]
    columns = [k for k in range(64) if first <= 2 + 4 * k < first + person.PERSON_PIXELS]
    told = mask[np.ix_([1 + 4 * k - first for k in rows], [2 + 4 * k - first for k in columns])]
    np.testing.assert_allclose(told, expected[np.ix_(rows, columns)], atol=2e-4)
