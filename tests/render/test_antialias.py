"""Anti-aliased silhouettes against an image of eight times the resolution, values and gradients; and the one word that
chooses between kinds of edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.errors import InputError
from emoca_jax.render import antialias, draw, interpolate, mesh_edges, rasterize
from emoca_jax.render.neighbours import OUTER, REPEATED
from tests.render.meshes import golden, head_obj

SIZE, FINER = 48, 8


def ball() -> tuple[jnp.ndarray, jnp.ndarray]:
    """The 80 faces of raster_soft.npz, some of them larger and some smaller than a pixel is to a head."""
    arrays = golden("raster_soft")
    return jnp.array(arrays["verts"] * [-1, -1, 1], jnp.float32), jnp.array(arrays["faces"])


def head() -> tuple[jnp.ndarray, jnp.ndarray]:
    return jnp.array(golden("raster_flame")["flame_trans_verts"]), jnp.array(head_obj()[0])


def coverage(vertices, faces):
    fragments = rasterize(vertices, faces, (SIZE, SIZE))
    seen = (fragments.face_index >= 0).astype(jnp.float32)[..., None]
    return antialias(seen, fragments, vertices, faces)[..., 0]


def true_coverage(vertices, faces):
    index = rasterize(vertices, faces, (SIZE * FINER, SIZE * FINER)).face_index
    return (index >= 0).astype(jnp.float32).reshape(SIZE, FINER, SIZE, FINER).mean((1, 3))


@pytest.mark.thorough
@pytest.mark.usefixtures("each_back_end")
@pytest.mark.parametrize("mesh", [ball, pytest.param(head, marks=pytest.mark.slow)])
def test_coverage_and_its_gradient_equal_a_supersampled_image(mesh):
    vertices, faces = mesh()
    weights = jax.image.resize(jax.random.normal(jax.random.key(0), (5, 5)), (SIZE, SIZE), "cubic")
    want = true_coverage(vertices, faces)
    got, pull = jax.vjp(jax.jit(lambda v: coverage(v, faces)), vertices)
    hard = (rasterize(vertices, faces, (SIZE, SIZE)).face_index >= 0).astype(jnp.float32)
    assert jnp.abs(got - want).sum() < 0.2 * jnp.abs(hard - want).sum()
    assert got.min() >= 0 and got.max() <= 1

    (gradient,) = jax.jit(pull)(weights)
    assert jnp.isfinite(gradient).all() and (gradient[:, 2] == 0).all()
    # Smooth deformations, so that what one pixel gets wrong is not all there is.
    x, y, z = jnp.unstack(vertices - vertices.mean(0, keepdims=True), axis=-1)
    for direction in ([jnp.ones_like(x), 0 * y], [0 * x, jnp.ones_like(y)], [x, y], [jnp.sin(4 * y), jnp.cos(3 * z)]):
        step = 0.02 * jnp.stack([*direction, 0 * z], axis=-1)
        ahead, back = (jnp.sum(true_coverage(vertices + sign * step, faces) * weights) for sign in (1, -1))
        scale = jnp.sum(jnp.abs(gradient * step))
        np.testing.assert_allclose(jnp.sum(gradient * step), (ahead - back) / 2, atol=0.05 * float(scale))


def test_an_upright_edge_mixes_by_where_it_passes():
    """A rectangle before a background: exact, whichever pixel the edge passes through."""
    faces = jnp.array([[0, 1, 2], [0, 2, 3]])
    background = jnp.full((8, 8, 2), 5.0).at[..., 1].set(0.0)

    @jax.jit
    def image(right):
        corners = jnp.array([[-0.5, -0.55, 1.0], [1.0, -0.55, 1.0], [1.0, 0.45, 1.0], [-0.5, 0.45, 1.0]])
        corners = corners.at[1:3, 0].set(right)
        return draw(
            lambda seen: interpolate(seen, jnp.array([[1.0, 2.0]] * 4), faces), corners, faces, (8, 8),
            edges="antialias", background=background, mesh_edges=mesh_edges(faces),
        )  # fmt: skip

    @jax.jit
    def slopes(right):
        return jnp.stack([jax.grad(lambda r, c=c: image(r).image[4, c, 0])(right) for c in (4, 5)])

    for right, column, share in ((0.3, 5, 0.2), (0.2, 4, 0.8)):
        got = image(right)
        np.testing.assert_allclose(got.alpha[4, column], share, atol=1e-5)
        np.testing.assert_allclose(got.image[4, column], [share + 5 * (1 - share), 2 * share], atol=1e-5)
        slope = slopes(right)[column - 4]
        np.testing.assert_allclose(slope, (1 - 5) * 4, rtol=1e-4)


def test_what_is_hidden_or_smooth_stays_as_it_is():
    """A sheet behind another mixes nowhere, nor does the edge between two faces of a sheet."""
    near = np.array([[-2, -2, 1], [2, -2, 1], [2, 2, 1], [-2, 2, 1]], np.float32)
    vertices = jnp.array(np.concatenate([near, near * [0.3, 0.3, 2]]))
    faces = jnp.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    fragments = rasterize(vertices, faces, (16, 16))
    image = jax.random.uniform(jax.random.key(1), (16, 16, 3))
    np.testing.assert_array_equal(antialias(image, fragments, vertices, faces), image)
    swapped = vertices.at[4:, 2].set(0.5)
    assert (antialias(image, rasterize(swapped, faces, (16, 16)), swapped, faces) != image).any()


def test_edges_of_a_mesh():
    """Two faces on a shared edge, a rim, and an edge of three faces."""
    edges = mesh_edges(jnp.array([[0, 1, 2], [2, 1, 3], [5, 6, 7], [6, 5, 8], [5, 6, 9]]))
    table = {(int(a), int(b)): (int(c), int(d)) for a, b, c, d in zip(*edges, strict=True) if d != REPEATED}
    assert set(table[1, 2]) == {0, 3}
    assert table[0, 1] == (2, OUTER) and table[5, 6][1] == OUTER
    assert len(table) == 5 + 1 + 6


@pytest.mark.parametrize("edges", ["hard", "antialias", pytest.param("soft", marks=pytest.mark.slow)])
def test_one_word_chooses_the_edges(edges):
    vertices, faces = ball()
    moved = jnp.stack([vertices, vertices + jnp.array([[0.1, 0.05, -30.0]])])

    def image(vertices):
        return draw(
            lambda seen: interpolate(seen, jnp.ones((42, 1)), faces), vertices, faces, (SIZE, SIZE), edges=edges
        )

    got, gradient = jax.jit(lambda v: (image(v), jax.grad(lambda v: jnp.sum(image(v).image ** 2))(v)))(moved)
    want = jnp.stack([true_coverage(one, faces) for one in moved])
    assert got.image.shape == (2, SIZE, SIZE, 1) and got.alpha.shape == (2, SIZE, SIZE)
    assert jnp.abs(got.alpha - want).mean() < 0.02
    np.testing.assert_allclose(got.image[..., 0], got.alpha, atol=1e-5)
    strength = jnp.abs(gradient[..., :2]).max((1, 2))
    assert jnp.isfinite(gradient).all() and ((strength < 1e-2) if edges == "hard" else (strength > 1)).all()


@pytest.mark.usefixtures("types_unchecked")
def test_an_unknown_word_is_named():
    with pytest.raises(InputError, match="hard"):
        draw(lambda seen: seen.barycentric, jnp.zeros((3, 3)), jnp.array([[0, 1, 2]]), (4, 4), edges="smooth")  # type: ignore
    with pytest.raises(InputError, match="antialias"):
        draw(
            lambda seen: seen.barycentric, jnp.zeros((3, 3)), jnp.array([[0, 1, 2]]), (4, 4), edges="soft", cull="back"
        )


def test_edges_on_the_host_are_those_on_the_device():
    """Repeated, degenerate and lone faces too."""
    rng = np.random.default_rng(5)
    faces = np.concatenate([rng.integers(0, 9, (40, 3)), head_obj()[0]]).astype(np.int32)
    for host, device in zip(mesh_edges(faces), mesh_edges(jnp.asarray(faces)), strict=True):
        assert isinstance(host, np.ndarray)
        np.testing.assert_array_equal(host, device)
