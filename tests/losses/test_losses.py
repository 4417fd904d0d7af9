"""What the reference numbers do not show: edges, gradients that must vanish, masks, crops.

Values and gradients against the official code are compared in tests/test_check_parity.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from emoca_jax.losses import (
    detail,
    emotion_consistency,
    identity,
    landmarks,
    lip_reading,
    mediapipe,
    mrf,
    photometric,
    shape_consistency,
)


@pytest.fixture
def draw():
    """Each test's own generator."""
    return np.random.default_rng(0)


@pytest.fixture
def normal(draw):
    """Standard normal numbers of a shape."""
    return lambda *shape: jnp.asarray(draw.normal(size=shape), jnp.float32)


def test_landmarks_that_coincide_have_finite_gradients(normal):
    still = jnp.zeros((2, 68, 2))
    for loss in (landmarks.eye_distance, landmarks.lip_distance, landmarks.mouth_corner_distance):
        assert jnp.isfinite(jax.grad(loss)(still, normal(2, 68, 2))).all()


def test_pair_distances_ignore_where_the_face_is_and_see_how_far_it_opens(normal):
    face = normal(3, 68, 2)
    assert float(landmarks.lip_distance(face + 0.3, face)) < 1e-6
    gap = face[:, jnp.array([61, 62, 63])] - face[:, jnp.array([67, 66, 65])]
    opened = face.at[:, jnp.array([61, 62, 63])].add(gap / jnp.linalg.norm(gap, axis=-1, keepdims=True) * 0.25)
    np.testing.assert_allclose(landmarks.lip_distance(opened, face), 0.25, rtol=1e-5)


def test_an_invisible_landmark_does_not_count(normal):
    face, target = normal(1, 68, 2), normal(1, 68, 2)
    seen = jnp.ones((1, 68)).at[0, 5].set(0.0)
    moved = face.at[0, 5].add(7.0)
    distance = landmarks.landmark_distance
    assert distance(face, target, weights=seen) == distance(moved, target, weights=seen) != distance(moved, target)


def test_eyelid_points_face_each_other_only_without_the_official_sorting():
    """On a made-up open eye whose lower lid is the upper one shifted down."""
    index = jnp.arange(478)
    mesh = jnp.zeros((478, 2))
    for row, (upper, lower) in enumerate(mediapipe.EYELID_PAIRS):
        mesh = mesh.at[upper].set(jnp.array([row, 1.0])).at[lower].set(jnp.array([row, 0.0]))
    closed = mesh.at[:, 1].set(0.0)
    np.testing.assert_allclose(mediapipe.mediapipe_eye_distance(mesh, closed, index), 1.0)
    assert mediapipe.mediapipe_eye_distance(mesh, closed, index, official=True) < 0.7
    right = set(mediapipe.OFFICIAL_EYELID_PAIRS) & set(mediapipe.EYELID_PAIRS)
    assert len(right) == 4


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("rendered", [0, 1, 0, 1]),
        ("ground truth", [0, 0, 1, 1]),
        ("intersection", [0, 0, 0, 1]),
        ("union", [0, 1, 1, 1]),
    ],
)
def test_masks(kind, expected):
    rendered, truth = jnp.array([[0.0, 1, 0, 1]]), jnp.array([[0.0, 0, 1, 1]])
    np.testing.assert_array_equal(photometric.photometric_mask(kind, rendered, truth)[0], expected)
    np.testing.assert_array_equal(photometric.photometric_mask(kind, rendered, None), rendered)


def test_an_empty_mask_adds_nothing_and_keeps_gradients_finite(normal):
    image, empty = normal(2, 4, 4, 3), jnp.zeros((2, 4, 4)).at[0].set(1.0)

    def loss(mask):
        return photometric.photometric_distance(image, image + 1, mask, area_weight="inverse")

    np.testing.assert_allclose(loss(empty), 0.5)
    assert jnp.isfinite(jax.grad(loss)(empty)).all()


def test_identity_compares_the_face_in_its_photo(normal, draw):
    albedo, shading, image = (normal(1, 4, 4, 3) for _ in range(3))
    mask = jnp.asarray(draw.uniform(size=(1, 4, 4)) > 0.5, jnp.float32)
    seen = identity.rendering_over_photo(albedo, shading, mask, image)
    np.testing.assert_allclose(seen[mask == 1], (albedo * shading)[mask == 1])
    np.testing.assert_array_equal(seen[mask == 0], image[mask == 0])


def test_identity_ignores_how_long_features_are(normal):
    features, target = normal(3, 8), normal(3, 8)
    distance = identity.identity_distance
    np.testing.assert_allclose(distance(7 * features, target), distance(features, target), rtol=1e-5)
    np.testing.assert_allclose(distance(-target, target), 2.0, rtol=1e-6)
    assert jnp.isfinite(jax.grad(distance)(jnp.zeros((3, 8)), target)).all()


def test_the_face_patch_is_the_face_at_the_size_of_the_layout():
    ramp = jnp.broadcast_to(jnp.arange(256.0)[:, None, None], (256, 256, 1))
    patch = detail.face_patch(ramp)[..., 0]
    # Rows 50 to 205, enlarged: between their centres the ramp rises by 156 / 256 a row.
    np.testing.assert_allclose(patch[100], 50 + (100.5 * 156 / 256 - 0.5), rtol=1e-5)
    assert patch.shape == (256, 256) and patch.min() == 50 and patch.max() == 205


@pytest.mark.parametrize("kind", ["squared", "absolute", "cosine"])
def test_features_equal_torch(normal, kind):
    torch = pytest.importorskip("torch")
    first, second = normal(3, 16), normal(3, 16)
    functional = torch.nn.functional
    theirs = torch.tensor(np.asarray(first), requires_grad=True)
    other = torch.tensor(np.asarray(second))
    want = {
        "squared": lambda: functional.mse_loss(theirs, other),
        "absolute": lambda: functional.l1_loss(theirs, other),
        "cosine": (1 - functional.cosine_similarity(theirs, other)).mean,
    }[kind]()
    want.backward()
    for loss in (emotion_consistency.emotion_feature_distance, lip_reading.lip_reading_distance):
        value, (to_rendering, to_image) = jax.value_and_grad(loss, (0, 1))(first, second, kind=kind)
        np.testing.assert_allclose(value, want.item(), rtol=1e-6)
        np.testing.assert_allclose(to_rendering, theirs.grad.numpy(), rtol=1e-4, atol=1e-6)
        assert (to_image == 0).all()


def test_mouth_crop_is_where_the_mouth_is_and_stays_inside():
    rows, columns = jnp.meshgrid(jnp.arange(224.0), jnp.arange(224.0), indexing="ij")
    image = jnp.stack([rows, columns, jnp.zeros_like(rows)], axis=-1)[None].repeat(2, axis=0)
    points = jnp.zeros((2, 68, 2)).at[0, 48:].set(jnp.array([0.1, 0.4])).at[1, 48:].set(jnp.array([-0.99, 2.0]))
    crop = lip_reading.mouth_crop(image, points) * lip_reading.DEVIATION + lip_reading.MEAN
    assert crop.shape == (2, 88, 88)
    # Pixel (112 (1 + x), 112 (1 + y)) = (123, 157) is the middle of the first; the other two lie in the corner.
    row, column = 157 - 44, 123 - 44
    np.testing.assert_allclose(crop[0, 0, 0], 0.2989 * row + 0.587 * column, rtol=1e-5)
    np.testing.assert_allclose(crop[1, 0, 0], 0.2989 * (224 - 96 + 4) + 0.587 * 4, rtol=1e-5)
    gradient = jax.grad(lambda picture: lip_reading.mouth_crop(picture, points)[0].sum())(image)
    assert int((gradient[0] != 0).all(axis=-1).sum()) == 88 * 88 and (gradient[1] == 0).all()


def test_exchange_stays_within_an_identity(normal):
    order = shape_consistency.exchange_order(jax.random.key(3), identities=5, images=3)
    np.testing.assert_array_equal(order // 3, np.arange(15) // 3)
    np.testing.assert_array_equal(np.sort(order), np.arange(15))
    assert (order != jnp.arange(15)).any()
    codes = {"shape": normal(15, 4)}
    swapped = shape_consistency.exchanged(jax.random.key(3), codes["shape"], 3)
    np.testing.assert_array_equal(swapped, codes["shape"][order])
    both = shape_consistency.doubled(codes, {"shape": swapped})["shape"]
    np.testing.assert_array_equal(both[0::2], codes["shape"])
    np.testing.assert_array_equal(both[1::2], swapped)
    same = shape_consistency.mean_within_identity(codes["shape"], 3)
    np.testing.assert_allclose(same[4], codes["shape"][3:6].mean(0), rtol=1e-5)


def test_erosion_equals_scipy(draw):
    mask = draw.uniform(size=(2, 40, 30)) > 0.04
    want = np.stack([ndimage.binary_erosion(each, np.ones((5, 5))) for each in mask])
    assert 0 < want.mean() < 1
    np.testing.assert_array_equal(detail.eroded(jnp.asarray(mask, jnp.float32)), want)


def test_hidden_skin_learns_from_its_seen_mirror_image_only():
    displacement = jnp.zeros((1, 20, 20)).at[0, 10, 3].set(1.0)
    seen = jnp.zeros((1, 20, 20)).at[:, :, :10].set(1.0)
    gradient = jax.grad(detail.hidden_asymmetry)(displacement, seen)[0]
    assert gradient[10, 16] == -1 and gradient[10, 3] == 0


def brute_patch_loss(rendered: np.ndarray, target: np.ndarray) -> float:
    """Equations 2 to 5 of the ID-MRF paper, one pair of patches at a time."""
    channels = target.shape[-1]
    mean = target.mean(-1, keepdims=True)
    patches = [(array - mean).reshape(-1, channels) for array in (rendered, target)]
    count = len(patches[0])
    distance = np.zeros((count, count))
    for t in range(count):
        for r in range(count):
            a, b = patches[1][t], patches[0][r]
            distance[t, r] = (1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)) / 2
    likeness = np.exp((1 - distance / (distance.min(0) + 1e-5)) / 0.5)
    share = likeness / likeness.sum(0)
    return -np.log(share.max(1).mean())


def test_id_mrf_equals_one_pair_at_a_time(normal):
    rendered, target = (
        {layer: normal(2, 5, 6, channels) for layer, channels in (("relu3_2", 7), ("relu4_2", 9))} for _ in range(2)
    )
    each = {
        layer: sum(brute_patch_loss(np.asarray(rendered[layer][i]), np.asarray(target[layer][i])) for i in range(2))
        for layer in rendered
    }
    found = mrf.id_mrf(rendered, target)
    np.testing.assert_allclose(found, each["relu3_2"] + 2 * each["relu4_2"], rtol=1e-4)


def test_black_surroundings_do_not_drown_in_rounding(draw):
    """A thousand all but equal patches, as around every face: their distances, near rounding, are divided by 1e-5."""
    surroundings = draw.uniform(size=(40, 40)) < 0.6
    black, spread = draw.uniform(0, 2, 512), 1e-3
    rendered, target = (
        np.where(
            surroundings[..., None], black + draw.normal(0, spread, (40, 40, 512)), draw.uniform(0, 2, (40, 40, 512))
        ).astype(np.float32)
        for _ in range(2)
    )
    rendered[0, 0] = target[0, 0] = 1.0  # A patch without contrast.
    mean = target.mean(-1, keepdims=True, dtype=np.float64)
    centred = [(a - mean).reshape(-1, 512) for a in (rendered, target)]
    of_rendered, of_target = (a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-9) for a in centred)
    distance = np.maximum((1 - of_target @ of_rendered.T) / 2, 0)
    likeness = np.exp((1 - distance / (distance.min(0) + 1e-5)) / 0.5)
    want = -np.log((likeness / likeness.sum(0)).max(1).mean())
    np.testing.assert_allclose(mrf.patch_loss(jnp.asarray(rendered), jnp.asarray(target)), want, rtol=1e-6)


@pytest.mark.thorough
def test_identical_textures_have_the_least_id_mrf(normal):
    maps = {layer: normal(1, 6, 6, 32) for layer in ("relu3_2", "relu4_2")}
    other = {layer: normal(1, 6, 6, 32) for layer in maps}
    assert mrf.id_mrf(maps, maps) < 1e-2 < mrf.id_mrf(other, maps)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(mrf.id_mrf)(maps, maps)))
