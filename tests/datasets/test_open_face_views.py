import numpy as np
import pytest

from data_pipelines.open_faces.recipe import recipe
from data_pipelines.open_faces.views import view_from
from emoca_jax import flame
from emoca_jax.errors import InputError
from emoca_jax.flame.rotations import rotation_matrix, yaw_degrees


def test_a_view_shows_the_person_turned_as_asked_with_nothing_held_before():
    head = flame.load_head("open")
    shapes = head.shape_dirs.shape[-1]
    assert head.albedo is not None
    person = np.asarray(recipe(head.expression_names, shapes, head.albedo.names, 3, 8 * 5).recipe.codes.shape)
    for view, yaw in ((0, 0.0), (1, 30.0), (2, -60.0), (7, 85.0)):
        seen = view_from(head, 3, 5, view, yaw)
        turned = rotation_matrix(np.asarray(seen.codes.pose))
        assert float(yaw_degrees(turned[0])) == pytest.approx(yaw, abs=1e-3)
        np.testing.assert_allclose(turned[1], np.eye(3), atol=1e-6)
        np.testing.assert_array_equal(seen.codes.shape, person)
        assert (np.abs(np.asarray(seen.scene.capsules)[:, :4]) > 2).all()
    with pytest.raises(InputError, match="views 0 to 7"):
        view_from(head, 3, 5, 8, 0.0)
