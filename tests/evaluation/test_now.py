import numpy as np
from scipy.spatial.transform import Rotation

from emoca_jax.evaluation.now import face_sphere, similarity_alignment


def test_alignment_undoes_a_similarity_and_keeps_from_mirroring_when_told():
    draw = np.random.default_rng(0)
    points = draw.normal(size=(7, 3))
    turned = 3.0 * points @ Rotation.from_rotvec([0.3, -1.0, 0.4]).as_matrix() + [1, 2, 3]
    found, residual = similarity_alignment(turned, points)
    np.testing.assert_allclose(found.apply(points), turned, atol=1e-12)
    np.testing.assert_allclose((found.scale, residual), (3.0, 0.0), atol=1e-12)
    mirrored = points * [1, 1, -1]
    assert np.linalg.det(similarity_alignment(mirrored, points).similarity.rotation) < 0
    proper, residual = similarity_alignment(mirrored, points, reflection=False)
    assert np.linalg.det(proper.rotation) > 0
    # What is left by the theorem (Umeyama 1991): 1 - (s1 + s2 - s3)^2, as both sets have the same spread.
    spread = np.linalg.svd((mirrored - mirrored.mean(0)).T @ (points - points.mean(0)), compute_uv=False)
    total = ((points - points.mean(0)) ** 2).sum()
    np.testing.assert_allclose(residual, 1 - ((spread[0] + spread[1] - spread[2]) / total) ** 2, rtol=1e-9)
    for _ in range(50):
        jolt = Rotation.from_rotvec(draw.normal(0, 0.05, 3)).as_matrix()
        moved = proper.scale * points @ proper.rotation.T @ jolt + proper.translation
        assert ((moved - mirrored) ** 2).sum() > ((proper.apply(points) - mirrored) ** 2).sum() - 1e-9


def test_the_sphere_moves_and_scales_with_the_face():
    landmarks = np.random.default_rng(1).normal(size=(7, 3))
    sphere = face_sphere(landmarks)
    moved = face_sphere(2 * landmarks + 5)
    np.testing.assert_allclose(moved.centre, 2 * sphere.centre + 5)
    np.testing.assert_allclose(moved.radius, 2 * sphere.radius)
