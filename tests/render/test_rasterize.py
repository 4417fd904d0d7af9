import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoca_jax.errors import InputError
from emoca_jax.render import Fragments, interpolate
from emoca_jax.render import rasterize as draw
from emoca_jax.render.backends import per_image, visible_faces
from emoca_jax.render.backends.visible_faces import BLOCK_HEIGHT, BLOCK_WIDTH, CHUNK
from emoca_jax.render.backends.visible_faces import _search_for as search_for
from tests.render.meshes import brute_force, edge_functions, golden, head_obj

FACES, SIZE = 12, (16, 32)
SOUP = np.arange(3 * FACES, dtype=np.int32).reshape(FACES, 3)
# On this grid and at these image sizes every edge function is exact in float32, so that edges and ties are too.
grid = st.integers(-96, 96).map(lambda n: n / 64)
soups = st.tuples(
    st.lists(grid, min_size=6 * FACES, max_size=6 * FACES), st.lists(st.integers(-2, 2), min_size=FACES, max_size=FACES)
).map(lambda soup: _soup(*soup))


def _soup(xy: list[float], depth: list[int]) -> np.ndarray:
    """Triangles that share no vertex, each at one depth: many are equal."""
    return np.concatenate([np.reshape(xy, (-1, 2)), np.repeat(depth, 3)[:, None]], axis=1).astype(np.float32)


def _random(seed: int, faces: int, reach: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-1.2, 1.2, (faces, 1, 3))
    return (centre + rng.uniform(-reach, reach, (faces, 3, 3))).reshape(-1, 3).astype(np.float32)


def test_official_equals_pytorch3d(rasterize):
    arrays = golden("raster_cases")
    names = {key.split("/")[0] for key in arrays} - {"wrapper"}
    assert len(names) == 19
    for name in names:
        size, index = int(arrays[f"{name}/size"]), arrays[f"{name}/pix_to_face"]
        # One shape for all cases, filled up with faces of no area. pytorch3d's x points left and its y up.
        vertices, faces = np.zeros((240, 3), np.float32), np.zeros((80, 3), np.int32)
        vertices[: len(arrays[f"{name}/verts"])] = arrays[f"{name}/verts"] * [-1, -1, 1]
        faces[: len(arrays[f"{name}/faces"])] = arrays[f"{name}/faces"]
        got = rasterize(jnp.array(vertices), jnp.array(faces), (size, size), official=True)
        np.testing.assert_array_equal(got.face_index, index, err_msg=name)
        seen = index >= 0
        barycentric, depth = np.array(got.barycentric), np.array(got.depth)
        np.testing.assert_allclose(barycentric[seen], arrays[f"{name}/bary"][seen], atol=1e-5, err_msg=name)
        np.testing.assert_allclose(depth[seen], arrays[f"{name}/zbuf"][seen], atol=1e-5, err_msg=name)
        assert np.isinf(depth[~seen]).all() and (barycentric[~seen] == 0).all()


def test_official_equals_pytorch3d_on_a_head(rasterize):
    want, faces = golden("raster_flame"), head_obj()[0]
    vertices, index = want["flame_trans_verts"], want["flame_pix_to_face"]
    got = rasterize(jnp.array(vertices), jnp.array(faces), (224, 224), official=True)
    assert (got.face_index == index).mean() > 0.9995
    same = (np.array(got.face_index) == index) & (index >= 0)
    np.testing.assert_allclose(np.array(got.depth)[same], want["flame_zbuf"][same], atol=5e-5)
    # Faces seen edge-on have barycentrics that a rounding of pytorch3d's pixel centres (6e-8) moves by more than 1e-5.
    exact = edge_functions(vertices[faces[np.maximum(index, 0)]], 224, 224)
    area = exact.sum(-1, keepdims=True)
    exact = exact / (area - 1e-8)
    error = np.abs(np.array(got.barycentric) - exact).max(-1)[same]
    assert np.quantile(error, 0.99) < 1e-5 and error.max() < 1e-4
    theirs = np.moveaxis(want["flame_bary__s2"], 0, -1)
    reliable = (same & (np.abs(area[..., 0]) > 1e-3))[::2, ::2]
    assert reliable.mean() > 0.25
    np.testing.assert_allclose(np.array(got.barycentric)[::2, ::2][reliable], theirs[reliable], atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(soups)
def test_equals_brute_force_with_edges_and_ties(rasterize, vertices):
    index, depth = brute_force(vertices, SOUP, *SIZE)
    got = rasterize(jnp.array(vertices), jnp.array(SOUP), SIZE)
    np.testing.assert_array_equal(got.face_index, index)
    np.testing.assert_array_equal(got.depth, depth.astype(np.float32))


@settings(max_examples=20, deadline=None)
@given(soups, st.permutations(range(FACES)), st.lists(st.booleans(), min_size=FACES, max_size=FACES))
def test_face_order_and_off_screen_faces_do_not_matter(rasterize, vertices, order, moved):
    got = rasterize(jnp.array(vertices), jnp.array(SOUP), SIZE)
    shuffled = rasterize(jnp.array(vertices), jnp.array(SOUP[list(order)]), SIZE)
    np.testing.assert_array_equal(got.depth, shuffled.depth)

    away, gone = vertices.copy(), vertices.copy()
    away[np.repeat(moved, 3)] += np.array([0, -8, -5], np.float32)
    gone[np.repeat(moved, 3)] = np.nan
    left = rasterize(jnp.array(away), jnp.array(SOUP), SIZE)
    np.testing.assert_array_equal(left.face_index, rasterize(jnp.array(gone), jnp.array(SOUP), SIZE).face_index)
    np.testing.assert_array_equal(left.face_index, brute_force(away, SOUP, *SIZE)[0])


@pytest.mark.thorough
@settings(max_examples=20, deadline=None)
@given(soups)
def test_splitting_faces_changes_nothing(rasterize, vertices):
    """Each face cut in two at the middle of its last edge, which the grid still holds exactly."""
    a, b, c = vertices.reshape(FACES, 3, 3).transpose(1, 0, 2)
    middle = (b + c) / 2
    halves = np.stack([np.stack([a, b, middle], 1), np.stack([a, middle, c], 1)], 1).reshape(-1, 3)
    split = rasterize(jnp.array(halves), jnp.arange(6 * FACES).reshape(-1, 3), SIZE)
    whole = rasterize(jnp.array(vertices), jnp.array(SOUP), SIZE)
    np.testing.assert_array_equal(split.depth, whole.depth)
    np.testing.assert_array_equal(split.face_index // 2, whole.face_index)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("faces", "reach", "size"),
    [(7, 6.0, (200, 301)), (300, 0.3, (200, 301)), (800, 0.04, (200, 301)), (7, 1.5, (760, 701))],
)
def test_faces_of_any_size_are_complete(rasterize, faces, reach, size):
    vertices = _random(faces, faces, reach)
    soup = np.arange(3 * faces, dtype=np.int32).reshape(-1, 3)
    if reach == 6.0:
        assert faces * size[0] * size[1] / (BLOCK_HEIGHT * BLOCK_WIDTH) > 3 * CHUNK
    index, depth = brute_force(vertices, soup, *size)
    got = rasterize(jnp.array(vertices), jnp.array(soup), size)
    # Where float32 and float64 disagree about an edge, the neighbours agree on both sides of it.
    assert (np.array(got.face_index) != index).mean() < 2e-4
    same = (np.array(got.face_index) == index) & (index >= 0)
    assert same.mean() > 0.05
    assert np.quantile(np.abs(np.array(got.depth)[same] - depth[same]), 0.999) < 1e-4


def test_a_fan_covers_every_pixel_exactly_once(rasterize):
    rng = np.random.default_rng(3)
    rim = np.linspace(0, 2 * np.pi, 17)[:-1] + rng.uniform(-0.1, 0.1, 16)
    rim = np.stack([2 * np.cos(rim), 2 * np.sin(rim), np.zeros(16)], axis=1)
    for hub in ([0.3, -0.2, 0.0], [1 / 16, 1 / 16, 0.0]):
        fan = np.stack([np.broadcast_to(hub, rim.shape), rim, np.roll(rim, -1, axis=0)], axis=1)
        alone = rasterize(jnp.array(fan, jnp.float32), jnp.arange(3)[None], (32, 16)).face_index
        np.testing.assert_array_equal((alone >= 0).sum(0), 1)


def test_an_edge_through_pixel_centres_belongs_to_one_face(rasterize):
    quad = jnp.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    quad = quad + jnp.array([[1 / 8, 1 / 8, 1.0]])
    halves = [jnp.array([[0, 1, 2]]), jnp.array([[0, 2, 3]])]
    counts = [rasterize(quad, half, (8, 8)).face_index >= 0 for half in halves]
    # Corners on the centres of pixels 2 and 6 of 0-7: the top-left rule keeps 2-5 in both directions.
    want = np.zeros((8, 8), int)
    want[2:6, 2:6] = 1
    np.testing.assert_array_equal(counts[0].astype(int) + counts[1].astype(int), want)
    strict = [rasterize(quad, half, (8, 8), official=True).face_index >= 0 for half in halves]
    assert int(sum(half.sum() for half in strict)) == 6


@pytest.mark.thorough
def test_batch_loop_and_vmap_agree(rasterize):
    vertices = jnp.array(np.stack([_random(seed, FACES, 0.8) for seed in range(4)]))
    faces = jnp.array(SOUP)
    batched = rasterize(vertices.reshape(2, 2, -1, 3), faces, SIZE)
    mapped = jax.vmap(lambda v: rasterize(v, faces, SIZE))(vertices)
    assert (mapped.face_index >= 0).any(axis=(-1, -2)).all()
    np.testing.assert_array_equal(batched.face_index.reshape(4, *SIZE), mapped.face_index)
    np.testing.assert_allclose(batched.barycentric.reshape(4, *SIZE, 3), mapped.barycentric, atol=1e-6)
    for number in range(4):
        alone = rasterize(vertices[number], faces, SIZE)
        np.testing.assert_array_equal(mapped.face_index[number], alone.face_index)
        np.testing.assert_allclose(mapped.barycentric[number], alone.barycentric, atol=1e-6)


@pytest.mark.thorough
def test_all_images_at_once_equal_one_by_one(monkeypatch):
    """What other platforms than the CPU run: wide chunks over the whole batch."""
    vertices, faces = jnp.array(np.stack([_random(seed, FACES, 0.8) for seed in range(4)])), jnp.array(SOUP)

    def loss(vertices):
        fragments = draw(vertices, faces, SIZE, backend="jax")
        return jnp.sum(interpolate(fragments, vertices, faces) ** 2), fragments

    ways = []
    for single in (True, False):
        for module in (per_image, visible_faces):
            monkeypatch.setattr(module, "one_by_one", lambda single=single: single)
        jax.clear_caches()
        search_for.cache_clear()
        ways.append(jax.jit(jax.grad(loss, has_aux=True))(vertices))
    jax.clear_caches()
    search_for.cache_clear()
    (to_one, one), (to_all, every) = ways
    np.testing.assert_array_equal(one.face_index, every.face_index)
    np.testing.assert_allclose(one.barycentric, every.barycentric, atol=1e-5)
    np.testing.assert_allclose(to_one, to_all, rtol=1e-3, atol=1e-4 * float(jnp.abs(to_all).max()))


def test_culling_goes_by_the_screen(rasterize):
    # Counter-clockwise as seen on the screen: down, right, up.
    front = jnp.array([[-0.9, -0.9, 0.0], [-0.9, 0.9, 0.0], [0.9, 0.0, 0.0]])
    faces, clockwise = jnp.array([[0, 1, 2]]), jnp.array([[0, 2, 1]])
    assert (rasterize(front, faces, (8, 8), cull="back").face_index >= 0).any()
    assert (rasterize(front, faces, (8, 8), cull="front").face_index == -1).all()
    assert (rasterize(front, clockwise, (8, 8), cull="back").face_index == -1).all()


def _loss(rasterize, vertices, faces, weights):
    fragments = rasterize(vertices, faces, (24, 24))
    depth = jnp.where(fragments.face_index >= 0, fragments.depth, 0.0)
    return jnp.sum(fragments.barycentric * weights[..., :3]) + jnp.sum(depth * weights[..., 3])


def test_gradients_equal_finite_differences(rasterize):
    # A seed with which all six faces are seen.
    vertices, faces = _random(22, 6, 0.9), np.arange(18).reshape(6, 3)
    weights = np.random.default_rng(0).normal(size=(24, 24, 4)).astype(np.float32)
    got = jax.jit(jax.grad(functools.partial(_loss, rasterize)))(
        jnp.array(vertices), jnp.array(faces), jnp.array(weights)
    )
    index = np.array(rasterize(jnp.array(vertices), jnp.array(faces), (24, 24)).face_index)
    seen = index >= 0
    assert len(np.unique(index)) == 7

    def loss(moved):
        edges = edge_functions(moved[faces[np.maximum(index, 0)]], 24, 24)
        barycentric = edges / edges.sum(-1, keepdims=True)
        depth = (barycentric * moved[faces[np.maximum(index, 0)], 2]).sum(-1)
        return ((barycentric * weights[..., :3]).sum(-1) + depth * weights[..., 3])[seen].sum()

    want = np.zeros(vertices.shape)
    for place in np.ndindex(vertices.shape):
        step = np.zeros(vertices.shape)
        step[place] = 1e-6
        want[place] = (loss(vertices + step) - loss(vertices - step)) / 2e-6
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


@pytest.mark.thorough
def test_background_and_undrawable_faces_give_zero_gradients(rasterize):
    vertices = np.array([[-0.5, -0.5, 1], [0.5, -0.5, 1], [0, 0.5, 1], [np.nan, 0, 0], [0, 0, 0], [np.inf, 0, 0],
                         [0.1, 0.1, 0], [0.2, 0.2, 0], [0.3, 0.3, 0], [5, 5, 0], [6, 5, 0], [5, 6, 0]])  # fmt: skip
    faces = jnp.array([[3, 4, 5], [6, 7, 8], [4, 4, 4], [9, 10, 11], [0, 1, 2]])
    vertices = jnp.array(vertices, jnp.float32)
    assert set(np.unique(rasterize(vertices, faces, (24, 24)).face_index)) == {-1, 4}
    derive, weights = jax.jit(jax.grad(functools.partial(_loss, rasterize))), jnp.ones((24, 24, 4)).at[..., 0].set(2.0)
    gradient = derive(vertices, faces, weights)
    assert (gradient[3:] == 0).all() and (jnp.abs(gradient[:3]) > 0).any() and jnp.isfinite(gradient).all()
    nothing = derive(vertices, jnp.array([[3, 4, 5], [6, 7, 8], [4, 4, 4], [9, 10, 11], [9, 11, 10]]), weights)
    assert (nothing == 0).all()


@pytest.mark.thorough
@pytest.mark.parametrize("depth", [0.0, 1e-30, -1e-22])
def test_a_corner_in_the_plane_of_the_camera_spoils_no_gradient(rasterize, depth):
    seen, unseen = (
        np.array([[-0.5, -0.5, 1], [0.5, -0.5, 1], [0, 0.5, 1]]),
        np.array([[0.2, 0.3, depth], [0.9, 0.9, 0.1], [0.8, 0.9, 0.1]]),
    )
    vertices = jnp.array(np.concatenate([seen, unseen]), jnp.float32)

    def loss(vertices):
        fragments = rasterize(vertices, jnp.arange(6).reshape(2, 3), (8, 8), perspective=True, near=0.3)
        return jnp.sum(fragments.barycentric[..., 0])

    slope = np.asarray(jax.grad(loss)(vertices))
    assert np.abs(slope[:3]).max() > 0.1 and not slope[3:].any()


def test_no_faces_and_no_pixels(rasterize):
    empty = rasterize(jnp.zeros((3, 3)), jnp.zeros((0, 3), jnp.int32), (4, 5))
    assert isinstance(empty, Fragments) and empty.face_index.shape == (4, 5) and (empty.face_index == -1).all()
    with pytest.raises(InputError, match="from 1 to"):
        rasterize(jnp.zeros((3, 3)), jnp.array([[0, 1, 2]]), (0, 5))


@pytest.mark.usefixtures("types_unchecked")
def test_wrong_words_and_no_vertices(rasterize):
    vertices, faces = jnp.zeros((3, 3)), jnp.array([[0, 1, 2]])
    with pytest.raises(InputError, match="cull"):
        rasterize(vertices, faces, (4, 4), cull="backwards")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="near"):
        rasterize(vertices, faces, (4, 4), perspective=True, near=float("nan"))
    with pytest.raises(InputError, match="no vertices"):
        rasterize(vertices[:0], faces, (4, 4))
    for batch in ((), (2,)):
        assert (rasterize(jnp.zeros((*batch, 0, 3)), faces[:0], (4, 5)).face_index == -1).all()
