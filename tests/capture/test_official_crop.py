import numpy as np
import pytest

from emoca_jax.capture.official_crop import official_square, official_transform, official_warp


@pytest.mark.parametrize("order", [1, 3])
def test_warp_equals_scikit_image(order):
    """Out over two borders of the image, magnified and not."""
    transform = pytest.importorskip("skimage.transform")
    image = np.random.default_rng(0).uniform(0.2, 0.9, (40, 60, 3))
    for box in ([-12.0, 5, 20, 30], [30.0, -5, 90, 50]):
        square = official_square(np.array(box), "detector")
        matrix = official_transform(square.centre, square.size, 50)
        inverse = transform.SimilarityTransform(matrix=matrix).inverse
        want = transform.warp(image, inverse, output_shape=(50, 50), order=order)
        np.testing.assert_allclose(official_warp(image, matrix, 50, order=order), want, atol=1e-9)


def test_the_square_lands_on_the_corner_pixels():
    square = official_square(np.array([60.0, 55, 170, 185]), "landmarks")
    assert square.size == 165 and square.face_size == 132
    half = square.size / 2
    corners = np.array([[*(square.centre - half), 1], [*(square.centre + half), 1]])
    np.testing.assert_allclose((corners @ official_transform(square.centre, 165, 224).T)[:, :2], [[0, 0], [223, 223]])
