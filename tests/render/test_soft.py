"""Soft rasterisation against pytorch3d's numbers and against every face at every pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.errors import InputError
from emoca_jax.render import draw, interpolate, soft_fragments, soft_rasterize, soft_silhouette
from tests.render.conftest import backends
from tests.render.meshes import golden

# pytorch3d's x points left and its y up.
TURN = np.array([-1, -1, 1], np.float32)
SIZE = (64, 64)


def scene() -> tuple[dict[str, np.ndarray], jax.Array, jax.Array, float]:
    arrays = golden("raster_soft")
    return arrays, jnp.array(arrays["verts"] * TURN), jnp.array(arrays["faces"]), float(arrays["blur_radius"])


@pytest.mark.parametrize("backend", backends("soft"))
@pytest.mark.parametrize("faces_per_pixel", [50, 4])
def test_silhouette_equals_pytorch3d(faces_per_pixel, backend):
    arrays, vertices, faces, radius = scene()
    weights, name = jnp.array(arrays["W"]), f"K{faces_per_pixel}"

    def loss(vertices):
        alpha = soft_silhouette(
            vertices, faces, SIZE, sigma=float(arrays["sigma"]), blur_radius=radius, faces_per_pixel=faces_per_pixel,
            backend=backend,
        )  # fmt: skip
        return jnp.sum(alpha * weights), alpha

    (_, alpha), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(vertices)
    np.testing.assert_allclose(alpha, arrays[f"{name}/alpha"], atol=1e-5)
    want = arrays[f"{name}/grad_verts"] * TURN
    np.testing.assert_allclose(gradient, want, atol=1e-4 * np.abs(want).max())


def test_the_nearest_faces_equal_pytorch3d():
    arrays, vertices, faces, radius = scene()
    got = soft_fragments(vertices, faces, SIZE, blur_radius=radius, faces_per_pixel=4)
    np.testing.assert_array_equal(got.face_index, arrays["K50/pix_to_face_k4"])
    np.testing.assert_allclose(got.squared_distance, arrays["K50/dists_k4"], atol=1e-6)
    seen = np.array(got.face_index) >= 0
    assert (np.diff(np.where(seen, got.depth, 1e9), axis=-1) >= 0).all() and np.isinf(np.array(got.depth)[~seen]).all()


def everything_at_once(vertices, faces, colours, size, sigma, gamma, radius, background, near, far, layers):
    """The formulas with every face at every pixel, for autodiff to derive."""
    centre = (2 * jnp.arange(size) + 1) / size - 1
    point = jnp.stack(jnp.meshgrid(centre, centre), axis=-1)[:, :, None]
    corners = vertices[faces][None, None]
    xy, depths = [corners[..., i, :2] for i in range(3)], corners[..., 2]

    def cross(a, b):
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]

    edges = jnp.stack([cross(xy[(i + 2) % 3] - xy[(i + 1) % 3], point - xy[(i + 1) % 3]) for i in range(3)], -1)
    weights = edges / edges.sum(-1, keepdims=True)
    inside = (weights > 0).all(-1)
    clipped = jnp.maximum(weights, 0)
    clipped = clipped / clipped.sum(-1, keepdims=True)
    depth = (clipped * depths).sum(-1)

    def squared(a, b):
        share = jnp.clip(((point - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1), 0, 1)[..., None]
        return ((point - a - share * (b - a)) ** 2).sum(-1)

    distance = jnp.min(jnp.stack([squared(xy[i], xy[(i + 1) % 3]) for i in range(3)]), axis=0)
    valid = inside | (distance < radius)
    order = jnp.argsort(jnp.where(valid, depth, jnp.inf), axis=-1, stable=True)
    rank = jnp.argsort(order, axis=-1)
    valid &= rank < layers
    share = jax.nn.sigmoid(jnp.where(inside, distance, -distance) / sigma)
    inverse = (far - depth) / (far - near)
    top = jnp.maximum(jnp.max(jnp.where(valid, inverse, 0), axis=-1, keepdims=True), 1e-10)
    weight = jnp.where(valid, share * jnp.exp(jnp.where(valid, inverse - top, 0) / gamma), 0)
    behind = jnp.maximum(jnp.exp((1e-10 - top) / gamma), 1e-10)
    mixed = jnp.einsum("hwf,hwfi,fic->hwc", weight, clipped, colours[faces]) + behind * background[None, None]
    alpha = 1 - jnp.prod(jnp.where(valid, 1 - share, 1), axis=-1, keepdims=True)
    return jnp.concatenate([mixed / (weight.sum(-1, keepdims=True) + behind), alpha], axis=-1)


@pytest.mark.parametrize("backend", backends("blend"))
@pytest.mark.parametrize("layers", [pytest.param(None, marks=pytest.mark.slow), 3])
def test_colours_equal_every_face_at_every_pixel(layers, backend):
    rng = np.random.default_rng(4)
    vertices = jnp.array(rng.uniform([-0.9, -0.9, 2], [0.9, 0.9, 4], (24, 3)), jnp.float32)
    faces, colours = jnp.arange(24).reshape(8, 3), jnp.array(rng.uniform(size=(24, 2)), jnp.float32)
    background, options = jnp.array([0.3, 0.7]), {"sigma": 3e-3, "gamma": 2e-2, "near": 1.0, "far": 10.0}
    cotangent = jnp.array(rng.normal(size=(16, 16, 3)), jnp.float32)

    def streamed(vertices, colours, background):
        return soft_rasterize(vertices, faces, colours, (16, 16), background=background, blur_radius=0.02,
                              faces_per_pixel=layers, backend=backend, **options)  # fmt: skip

    def dense(vertices, colours, background):
        return everything_at_once(vertices, faces, colours, 16, background=background, radius=0.02,
                                  layers=layers or 8, **options)  # fmt: skip

    def value_and_pulled(function):
        def both(*inputs):
            value, pull = jax.vjp(function, *inputs)
            return value, pull(cotangent)

        return jax.jit(both)(vertices, colours, background)

    (got, ours), (want, theirs) = value_and_pulled(streamed), value_and_pulled(dense)
    np.testing.assert_allclose(got, want, atol=2e-5)
    for own, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, their, atol=1e-3 * float(jnp.abs(their).max()))


def silhouette(vertices, faces):
    return soft_silhouette(vertices, faces, SMALL, sigma=1e-2, faces_per_pixel=1)


def colours(vertices, faces):
    return soft_rasterize(vertices, faces, ATTRIBUTES, SMALL, sigma=1e-2, gamma=1e-1)


def fragments(vertices, faces):
    found = soft_fragments(vertices, faces, SMALL, blur_radius=0.02, faces_per_pixel=2)
    return found.barycentric[..., 0] + jnp.where(jnp.isfinite(found.depth), found.depth, 0) + found.squared_distance


def drawing(vertices, faces):
    drawn = draw(lambda seen: interpolate(seen, ATTRIBUTES, faces), vertices, faces, SMALL, edges="soft", sigma=1e-2)
    return drawn.image


SMALL = (9, 12)
# Points 4 to 6 lie on a line, whose area is not quite nothing in float32.
POINTS = np.array([[-0.6, -0.5, 1], [0.5, -0.55, 2], [0.1, 0.52, 1.5], [-0.7, 0.6, 3], [0.1, 0.2, 2], [0.2, 0.4, 2],
                   [0.3, 0.6, 2], [np.nan, 0, 1], [5, 5, 1], [6, 5, 1], [5, 6, 1]], np.float32)  # fmt: skip
ATTRIBUTES = jnp.array(np.random.default_rng(7).uniform(size=(11, 2)), jnp.float32).at[7].set(jnp.nan)
WHOLE = [[0, 1, 2], [0, 2, 3]]
FAR_AWAY = [8, 9, 10]
"""Stands in for the bad face, so that all share one compiled program."""


@pytest.mark.thorough
@pytest.mark.parametrize("function", [silhouette, colours, fragments, drawing])
def test_faces_that_cannot_be_drawn_change_nothing(function):
    def weighed(vertices, faces):
        image = function(vertices, faces)
        return jnp.sum(image * jnp.cos(jnp.arange(image.size)).reshape(image.shape)), image

    derive = jax.jit(jax.value_and_grad(weighed, has_aux=True))

    def value_and_gradient(faces):
        (_, image), gradient = derive(jnp.array(POINTS), jnp.array(faces, jnp.int32).reshape(-1, 3))
        return np.array(image), np.array(gradient)

    image, gradient = value_and_gradient([*WHOLE, FAR_AWAY])
    assert np.isfinite(image).all() and np.isfinite(gradient).all() and np.abs(gradient[:3]).max() > 0.1
    for bad in ([0, 0, 1], [1, 2, 2], [3, 1, 3], [2, 2, 2], [4, 5, 6], [0, 1, 7]):
        for place in range(3):
            other_image, other_gradient = value_and_gradient([*WHOLE[:place], bad, *WHOLE[place:]])
            np.testing.assert_allclose(other_image, image, atol=1e-6, err_msg=f"{bad} as {place}")
            np.testing.assert_allclose(other_gradient, gradient, atol=2e-5, err_msg=f"{bad} as {place}")
    image, gradient = value_and_gradient([FAR_AWAY, [0, 0, 0], [4, 5, 6]])
    assert np.isfinite(image).all() and (gradient == 0).all()
    if function is silhouette:
        assert not np.signbit(image).any()


def test_bad_requests():
    with pytest.raises(InputError, match="at least 1"):
        soft_silhouette(jnp.zeros((3, 3)), jnp.array([[0, 1, 2]]), (4, 4), faces_per_pixel=0)
    for sigma in (0.0, -1, float("nan")):
        with pytest.raises(InputError, match="sigma"):
            soft_silhouette(jnp.zeros((3, 3)), jnp.array([[0, 1, 2]]), (4, 4), sigma=sigma)
    assert (soft_silhouette(jnp.zeros((3, 3)), jnp.zeros((0, 3), jnp.int32), (4, 4)) == 0).all()
