"""Faces found, and none invented: on photos that ship with scikit-image and on the nine in ../shared."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from skimage import data

from emoca_jax.capture import detect
from emoca_jax.capture.detect import detect_batch, detect_faces, detect_largest, largest_face, load_networks
from emoca_jax.capture.exposure import brightened
from emoca_jax.capture.found_faces import found_faces, largest_and_others
from emoca_jax.capture.images import check_array
from emoca_jax.errors import InputError
from tests.shared_data import SHARED, shared_path

# MediaPipe's mesh: outer eye corners, nose tip, outer mouth corners, upper and lower inner lip; irises at 468 and 473.
RIGHT_CORNER, LEFT_CORNER, NOSE, RIGHT_MOUTH, LEFT_MOUTH = 33, 263, 1, 61, 291


@pytest.fixture(scope="module")
def networks():
    return load_networks()


@pytest.fixture(scope="module")
def astronaut(networks):
    return detect_faces(networks, data.astronaut())


def pasted(face_heights: list[int], canvas: tuple[int, int], corners: list[tuple[int, int]]) -> np.ndarray:
    """The astronaut's head, its face that many pixels high, at each corner (x, y) of a picture of a brick wall."""
    wall = Image.fromarray(data.brick()).resize((canvas[1], canvas[0])).convert("RGB")
    head = Image.fromarray(data.astronaut()).crop((96, 0, 352, 256))
    for height, corner in zip(face_heights, corners, strict=True):
        # The face's landmarks are 109 pixels high in the photo.
        size = round(256 * height / 109)
        wall.paste(head.resize((size, size), Image.Resampling.LANCZOS), corner)
    return np.asarray(wall)


def test_the_astronaut_is_found_with_sane_landmarks(astronaut):
    (face,) = astronaut
    assert face.score > 0.8
    assert face.presence > 0.9
    points = face.landmarks
    assert points.shape == (478, 3)
    # Read off the enlarged photo by eye: pupils, nose tip, mouth corners.
    seen = {468: (203, 101), 473: (246, 103), NOSE: (223, 128), RIGHT_MOUTH: (203, 140), LEFT_MOUTH: (244, 141)}
    for index, where in seen.items():
        assert np.hypot(*(points[index, :2] - where)) < 4, index
    # The nose is nearer to the viewer than the ears.
    assert points[NOSE, 2] < points[[234, 454], 2].min()
    assert face.scatter < 0.008


@pytest.mark.parametrize("exposure", [0.3, 0.06, 0.03])
def test_in_the_dark_the_same_face_is_found_and_no_phantom(networks, astronaut, exposure):
    dark = Image.fromarray(data.astronaut()).point(lambda value: value * exposure)
    (face,) = detect_faces(networks, np.asarray(dark))
    error = np.linalg.norm(face.landmarks - astronaut[0].landmarks, axis=1)[:468].mean()
    assert error < 0.012 * np.ptp(astronaut[0].landmarks[:, 0])
    (only,) = found_faces(networks, check_array(np.asarray(dark)), "largest")
    np.testing.assert_array_equal(only.landmarks, face.landmarks)


@pytest.mark.parametrize("name", ["coffee", "cat", "clock", "coins"])
@pytest.mark.parametrize("exposure", [0.3, 0.06])
def test_no_face_is_seen_in_the_dark_where_there_is_none(networks, name, exposure):
    image = getattr(data, name)()
    image = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image
    assert detect_faces(networks, np.round(image * exposure).astype(np.uint8)) == []


def test_only_dark_photos_are_brightened():
    bright = data.astronaut()
    assert brightened(bright) is bright
    black = np.zeros((30, 40, 3), np.uint8)
    assert brightened(black) is black
    lamp = np.full((100, 100, 3), 20, np.uint8)
    lamp[:5, :5] = 255
    np.testing.assert_array_equal(np.unique(brightened(lamp)), [235, 255])


def test_the_largest_face_is_no_doubtful_one(astronaut):
    (sure,) = astronaut
    size = sure.roi.size
    phantom = replace(sure, scatter=0.02, roi=replace(sure.roi, size=1.3 * size))
    assert largest_face([phantom, sure]) is sure
    assert largest_face([phantom]) is phantom
    small = replace(sure, roi=replace(sure.roi, size=0.2 * size))
    assert largest_face([phantom, small]) is phantom, "a face in the background is not meant"
    assert largest_face([sure, small]) is sure


def test_the_largest_face_is_found_without_tiles_that_could_hold_no_larger_one(networks, monkeypatch):
    portrait = data.astronaut()[:256, 96:352]
    large = np.asarray(Image.fromarray(portrait).resize((512, 512), Image.Resampling.LANCZOS))
    every, none = detect_faces(networks, large), np.zeros((300, 300, 3), np.uint8)
    small = pasted([70, 110], (900, 1200), [(40, 60), (100, 500)])
    found = detect_largest(networks, small)
    assert found is not None
    np.testing.assert_allclose(np.ptp(found.landmarks[:, 1]), 110, rtol=0.06)
    assert detect_largest(networks, none) is None
    monkeypatch.setattr(detect, "tile_inputs", lambda *_: pytest.fail("looked at tiles"))
    alone = detect_largest(networks, large)
    assert alone is not None
    error = np.linalg.norm((alone.landmarks - largest_face(every).landmarks)[:, :2], axis=1).mean()
    assert error < 0.003 * np.ptp(alone.landmarks[:, 0])


def test_a_face_of_five_percent_of_the_height_is_found_where_it_is(networks, astronaut):
    image = pasted([50], (1000, 1400), [(900, 610)])
    (face,) = detect_faces(networks, image)
    expected = (astronaut[0].landmarks[:, :2] - [96, 0]) * (50 / 109) + [900, 610]
    error = np.linalg.norm(face.landmarks[:, :2] - expected, axis=1).mean()
    assert error < 0.03 * np.ptp(expected[:, 0])


def test_several_faces_come_largest_first(networks):
    image = pasted([70, 250, 110], (900, 1200), [(40, 60), (600, 300), (100, 500)])
    faces = detect_faces(networks, image)
    heights = [np.ptp(face.landmarks[:, 1]) for face in faces]
    np.testing.assert_allclose(heights, [250, 110, 70], rtol=0.06)


def test_the_largest_face_and_a_count_of_the_others_take_one_look(networks, monkeypatch):
    image = pasted([70, 250, 110], (900, 1200), [(40, 60), (600, 300), (100, 500)])
    looks, seen = [], detect._seen
    monkeypatch.setattr(detect, "_seen", lambda *given: looks.append(given) or seen(*given))
    largest, others = largest_and_others(networks, check_array(image))
    assert others == 2 and largest.face == 0
    np.testing.assert_allclose(np.ptp(largest.landmarks[:, 1]), 250, rtol=0.06)
    assert len([turns for *_, turns in looks if turns == (0,)]) == 1
    with pytest.raises(InputError, match="shows no face"):
        largest_and_others(networks, check_array(np.zeros((300, 300, 3), np.uint8)))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_turned_by_quarters_gives_the_same_landmarks_turned(networks, astronaut, turns):
    image = data.astronaut()
    (face,) = detect_faces(networks, np.rot90(image, turns).copy())
    x, y = astronaut[0].landmarks[:, 0], astronaut[0].landmarks[:, 1]
    side = image.shape[0]
    expected = {1: (y, side - x), 2: (side - x, side - y), 3: (side - y, x)}[turns]
    error = np.linalg.norm(face.landmarks[:, :2] - np.stack(expected, axis=1), axis=1)
    assert error.mean() < 0.02 * np.ptp(x)


@pytest.mark.parametrize("name", ["coffee", "cat", "clock", "coins"])
def test_no_face_is_seen_where_there_is_none(networks, name):
    image = getattr(data, name)()
    assert detect_faces(networks, np.stack([image] * 3, axis=-1) if image.ndim == 2 else image) == []


@pytest.mark.thorough
def test_blank_noisy_tiny_and_huge_images_give_none(networks):
    noise = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    small = [np.zeros((400, 300, 3), np.uint8), noise, np.full((1, 1, 3), 9, np.uint8), noise[:1], noise[:, :2]]
    assert detect_batch(networks, small) == [[]] * len(small)
    # 12,000 x 9,000 without the memory for it.
    huge = np.broadcast_to(np.uint8(128), (9000, 12000, 3))
    assert detect_faces(networks, huge) == []


@pytest.mark.usefixtures("types_unchecked")
def test_other_arrays_are_refused_with_a_sentence(networks):
    for image in (np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(InputError, match="uint8 RGB"):
            detect_faces(networks, image)


def test_a_batch_is_its_photos_one_by_one(networks, astronaut):
    blank = np.zeros((200, 300, 3), np.uint8)
    photo = data.astronaut()
    first, none, second = detect_batch(networks, [photo, blank, photo[:300]])
    assert none == []
    np.testing.assert_allclose(first[0].landmarks, astronaut[0].landmarks, atol=0.05)
    assert len(second) == 1


PHOTOS = [
    "looking_up.jpg",
    "neutral_front.jpg",
    "neutral_side.jpg",
    "profile.jpg",
    "shout.jpg",
    "smile.jpg",
    "smile_dark.jpg",
    "surprise.png",
    "talking.jpg",
]


@pytest.mark.parametrize("name", PHOTOS)
def test_the_main_face_of_every_shared_photo_is_found(networks, name):
    image = np.asarray(Image.open(shared_path(f"photos/{name}")).convert("RGB"))
    faces = detect_faces(networks, image)
    assert faces
    extent = np.ptp(faces[0].landmarks[:, :2], axis=0)
    assert (extent > 0.25 * np.array(image.shape[1::-1])).all()


@pytest.mark.skipif(not (SHARED / "photos").exists(), reason="the photos are not beside the repository")
def test_open_mouths_are_seen_open(networks):
    # Lip opening (13 to 14) over mouth width.
    for name, least in (("surprise.png", 0.6), ("shout.jpg", 0.4), ("smile.jpg", 0.08)):
        image = np.asarray(Image.open(shared_path(f"photos/{name}")).convert("RGB"))
        points = detect_faces(networks, image)[0].landmarks[:, :2]
        opening = np.linalg.norm(points[13] - points[14]) / np.linalg.norm(points[RIGHT_MOUTH] - points[LEFT_MOUTH])
        assert opening > least, name
