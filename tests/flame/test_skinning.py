"""What must hold for any head: rest, rigid motion, batching, transformations of jax, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from emoca_jax import flame
from emoca_jax.errors import InputError
from tests.flame.small_head import EXPRESSIONS, SHAPES, small_head


def random_codes(batch: tuple[int, ...], seed: int = 0):
    draw = np.random.default_rng(seed)
    return tuple(draw.normal(0, 0.5, (*batch, *n)).astype(np.float32) for n in ((SHAPES,), (EXPRESSIONS,), (5, 3)))


forward = jax.jit(flame.forward)


@pytest.mark.parametrize("correctives", [36, 0])
def test_zero_codes_give_the_template(correctives):
    head = small_head(correctives)
    output = flame.forward(head, np.zeros(SHAPES), np.zeros(EXPRESSIONS), np.zeros((5, 3)))
    np.testing.assert_allclose(output.vertices, head.template, atol=1e-7)
    np.testing.assert_allclose(output.joints, head.joint_regressor @ head.template, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-7, 7, width=32), min_size=3, max_size=3))
def test_turning_the_root_turns_everything_rigidly(turn):
    shape, expression, pose = random_codes(())
    # Arrays of their own: jax may still be reading the first when the second is made.
    upright, leaning = pose.copy(), pose.copy()
    upright[0], leaning[0] = 0, turn
    still = forward(small_head(), shape, expression, upright)
    turned = forward(small_head(), shape, expression, leaning)
    rotation = Rotation.from_rotvec(turn).as_matrix()
    root = np.asarray(still.joints[0])
    np.testing.assert_allclose(turned.vertices, (np.asarray(still.vertices) - root) @ rotation.T + root, atol=1e-5)
    np.testing.assert_allclose(turned.rotations[0], rotation, atol=2e-6)


@pytest.mark.slow
def test_batches_broadcast_and_equal_vmap_and_eager():
    head = small_head()
    shape, expression, pose = random_codes((2, 3))
    whole = forward(head, shape[:, :1], expression, pose)
    one_by_one = jax.vmap(jax.vmap(flame.forward, (None, None, 0, 0)), (None, 0, 0, 0))(
        head, shape[:, 0], expression, pose
    )
    eager = flame.forward(head, shape[1, 0], expression[1, 2], pose[1, 2])
    for field in ("vertices", "joints", "rotations"):
        np.testing.assert_allclose(getattr(whole, field), getattr(one_by_one, field), atol=1e-6)
        np.testing.assert_allclose(getattr(whole, field)[1, 2], getattr(eager, field), atol=1e-6)
    batched = flame.landmarks68(head, whole)
    assert batched.shape == (2, 3, 68, 3)
    np.testing.assert_allclose(batched[1, 2], flame.landmarks68(head, eager), atol=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize("batches", [((4,), (), ()), ((4,), (1,), ()), ((), (), (4,)), ((1, 2), (3, 1), (2,))])
def test_every_code_brings_batch_dimensions_of_its_own(batches):
    head, parts = small_head(), zip(random_codes((3, 4)), batches, strict=True)
    codes = [jnp.asarray(own)[(0,) * (2 - len(batch))][tuple(slice(n) for n in batch)] for own, batch in parts]
    common = np.broadcast_shapes(*batches)
    whole = flame.forward(head, *codes)
    spread = [
        np.broadcast_to(own, (*common, *own.shape[len(batch) :])) for own, batch in zip(codes, batches, strict=True)
    ]
    for place in np.ndindex(common):
        alone = forward(head, *(own[place] for own in spread))
        for field in ("vertices", "joints", "rotations"):
            np.testing.assert_allclose(getattr(whole, field)[place], getattr(alone, field), atol=1e-6)
    with pytest.raises(InputError, match=r"^expression must be floats .* that go with the arguments before it"):
        flame.forward(head, jnp.zeros((2, SHAPES)), jnp.zeros((3, EXPRESSIONS)), jnp.zeros((5, 3)))


@pytest.mark.parametrize("size", [0.0, -1e-8, 1e-3, 0.0099, 0.0101, 3.0])
def test_gradient_is_right_at_and_around_the_zero_rotation(size):
    """Against central differences in fp64, on both sides of the switch to the power series."""
    vector = size * np.array([0.6, -0.48, 0.64])
    weights = np.random.default_rng(0).normal(size=(3, 3))
    step = 1e-5
    wanted = [
        np.sum(weights * (Rotation.from_rotvec(vector + d).as_matrix() - Rotation.from_rotvec(vector - d).as_matrix()))
        / (2 * step)
        for d in step * np.eye(3)
    ]

    def weighted(v):
        return jnp.sum(flame.rotation_matrix(v) * weights)

    gradient, curvature = jax.jit(lambda v: (jax.grad(weighted)(v), jax.hessian(weighted)(v)))(jnp.float32(vector))
    np.testing.assert_allclose(gradient, wanted, atol=1e-5)
    assert np.isfinite(curvature).all()


def test_codes_of_another_head_are_refused():
    shape, _, pose = random_codes(())
    with pytest.raises(InputError, match=r"expression code.*\(9,\).*'small' takes \(3,\)"):
        flame.forward(small_head(), shape, np.zeros(9), pose)


def test_albedo_is_the_mean_plus_the_named_directions():
    model = small_head().albedo
    assert model is not None
    code = np.array([[0.0, 0.0], [2.0, -1.0]], np.float32)
    found = flame.albedo_map(model, code)
    np.testing.assert_allclose(found[0], model.mean, atol=1e-7)
    np.testing.assert_allclose(found[1], model.mean + 2 * model.basis[..., 0] - model.basis[..., 1], atol=1e-6)


@pytest.mark.parametrize(
    ("yaw", "row"), [(0, 0), (0.4, 0), (1.6, 2), (38.4, 38), (80, 39), (-0.4, 0), (-0.7, 40), (-39, 78), (-75, 78)]
)
def test_contour_rows_follow_the_turn(yaw, row):
    """Both sides saturate, and the pitch of the face under the turn leaves the choice alone."""
    rotation = Rotation.from_euler("YX", [yaw, 20], degrees=True).as_matrix()
    assert int(flame.contour_bin(rotation.astype(np.float32))) == row
