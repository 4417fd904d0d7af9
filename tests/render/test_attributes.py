"""Interpolation, texture lookup and uv maps, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.errors import InputError
from emoca_jax.render import interpolate, rasterize, rasterize_uv, sample_image, sample_texture, vertex_normals
from tests.render.meshes import golden, head_obj

pytestmark = pytest.mark.usefixtures("each_back_end")


def head_cases() -> jnp.ndarray:
    """The two heads of misc.npz: FLAME cases 1 and 11, the latter without its turned eyes."""
    arrays = golden("flame")
    return jnp.array(np.stack([arrays["verts"][1], arrays["verts_default_eye"][0]]))


def test_interpolation_equals_the_official_wrapper():
    """Values and gradients; attributes there belong to face corners, so each corner is a row of its own."""
    arrays = golden("raster_cases")
    faces = jnp.array(arrays["random40/faces"])
    attributes = arrays["wrapper/attributes"][0].reshape(-1, 5)
    corners = jnp.arange(len(attributes)).reshape(-1, 3)
    weights = np.moveaxis(arrays["wrapper/W"][0], 0, -1)

    def image(vertices, attributes):
        fragments = rasterize(vertices, faces, (64, 64), official=True)
        visible = (fragments.face_index >= 0).astype(jnp.float32)
        return jnp.concatenate([interpolate(fragments, attributes, corners), visible[..., None]], axis=-1)

    # The wrapper turns x and y round before it calls pytorch3d: what it takes has our axes.
    vertices = jnp.array(arrays["random40/verts"])
    np.testing.assert_allclose(
        image(vertices, jnp.array(attributes)), np.moveaxis(arrays["wrapper/out"][0], 0, -1), atol=2e-5
    )
    loss = jax.jit(jax.grad(lambda *inputs: jnp.sum(image(*inputs) * weights), argnums=(0, 1)))
    to_vertices, to_attributes = loss(vertices, jnp.array(attributes))
    want = arrays["wrapper/grad_verts"][0]
    np.testing.assert_allclose(to_vertices, want, atol=1e-3 * np.abs(want).max())
    want = arrays["wrapper/grad_attr"][0].reshape(-1, 5)
    np.testing.assert_allclose(to_attributes, want, atol=1e-4 * np.abs(want).max())


def test_background_is_zero_and_shared_attributes_broadcast():
    triangle = jnp.array([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.0, 0.5, 0.0]])
    fragments = rasterize(jnp.stack([triangle, triangle + 0.25]), jnp.array([[0, 1, 2]]), (16, 32))
    position = interpolate(fragments, jnp.stack([triangle, triangle + 0.25]), jnp.array([[0, 1, 2]]))
    seen = np.array(fragments.face_index) >= 0
    assert 0 < seen.mean() < 0.5 and (np.array(position)[~seen] == 0).all()
    x = np.broadcast_to((2 * np.arange(32) + 1) / 32 - 1, seen.shape)
    np.testing.assert_allclose(np.array(position)[seen, 0], x[seen], atol=1e-6)
    shared = interpolate(fragments, triangle, jnp.array([[0, 1, 2]]))
    np.testing.assert_allclose(np.array(shared)[1][seen[1]], np.array(position)[1][seen[1]] - 0.25, atol=1e-6)


@pytest.mark.parametrize(("outside", "padding"), [("edge", "border"), ("zero", "zeros")])
def test_texture_lookup_equals_torch(outside, padding):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    texture = rng.uniform(size=(2, 9, 14, 3)).astype(np.float32)
    uv = rng.uniform(-0.2, 1.2, (2, 5, 40, 2)).astype(np.float32)
    weights = rng.normal(size=(2, 5, 40, 3)).astype(np.float32)
    got, pull = jax.vjp(lambda t, c: sample_texture(t, c, outside=outside), jnp.array(texture), jnp.array(uv))
    got_texture, got_uv = pull(jnp.array(weights))

    theirs = torch.tensor(texture.transpose(0, 3, 1, 2), requires_grad=True)
    coordinates = torch.tensor(uv, requires_grad=True)
    grid = torch.stack([2 * coordinates[..., 0] - 1, 1 - 2 * coordinates[..., 1]], dim=-1)
    want = torch.nn.functional.grid_sample(theirs, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    (want * torch.tensor(weights.transpose(0, 3, 1, 2))).sum().backward()
    np.testing.assert_allclose(got, want.detach().numpy().transpose(0, 2, 3, 1), atol=2e-6)
    np.testing.assert_allclose(got_texture, theirs.grad.numpy().transpose(0, 2, 3, 1), atol=1e-5)
    np.testing.assert_allclose(got_uv, coordinates.grad.numpy(), atol=1e-4)


def test_texture_axes():
    """u runs right, v up; a texture without batch dimensions serves every point."""
    texture = jnp.arange(6.0).reshape(2, 3, 1)
    uv = jnp.array([[[0.5 / 3, 0.75]], [[2.5 / 3, 0.25]]])
    np.testing.assert_allclose(sample_texture(texture, uv)[..., 0], [[0.0], [5.0]], atol=1e-6)
    np.testing.assert_allclose(sample_image(texture, jnp.array([2 / 3, -0.5])), [2.0], atol=1e-6)
    far = sample_texture(texture, jnp.array([[1e30, -1e30], [-jnp.inf, jnp.inf]]))
    np.testing.assert_allclose(far[:, 0], [5.0, 0.0])
    with pytest.raises(InputError, match="batch"):
        sample_texture(texture[None, None], uv[0])


def test_uv_maps_equal_the_official_ones():
    """The uv layout and the vertex maps through it ("world2uv")."""
    faces, uv, uv_faces = head_obj()
    fragments = rasterize_uv(jnp.array(uv), jnp.array(uv_faces), (256, 256), official=True)
    index = golden("raster_flame")["uv_pix_to_face"]
    assert (fragments.face_index == index).mean() > 0.9995
    want = np.moveaxis(golden("misc")["world2uv__s4"], 1, -1)
    vertices = head_cases()
    per_image = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), fragments)
    got = interpolate(per_image, vertices, jnp.array(faces))
    np.testing.assert_allclose(np.array(got)[:, ::4, ::4], want, atol=2e-6)


def test_uv_rows_run_down():
    sheet = rasterize_uv(jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), jnp.array([[0, 1, 2]]), (4, 8))
    assert sheet.face_index[-1, 0] == 0 and sheet.face_index[0, -1] == -1
    v = interpolate(sheet, jnp.array([[0.0], [0.0], [1.0]]), jnp.array([[0, 1, 2]]))[..., 0]
    np.testing.assert_allclose(v[:, 0], [0.875, 0.625, 0.375, 0.125], atol=1e-6)


def test_normals_of_the_head_equal_the_official_ones():
    got = vertex_normals(head_cases(), jnp.array(head_obj()[0]), official=True)
    np.testing.assert_allclose(got, golden("misc")["vertex_normals"], atol=2e-5)


def test_attributes_that_are_no_numbers_stay_out_of_the_background():
    """Which reads face 0: neither values nor what its weights are given may be a NaN there."""
    vertices = jnp.array([[-0.5, -0.5, 1.0], [0.5, -0.5, 1.0], [0.0, 0.5, 1.0], [2.0, 2, 1], [3, 2, 1], [3, 3, 1]])
    attributes = jnp.ones((6, 2)).at[3:].set(jnp.nan)
    fragments = rasterize(vertices, jnp.array([[3, 4, 5], [0, 1, 2]]), (8, 8))
    assert 0 < (fragments.face_index >= 0).sum() < 64

    def total(weights):
        return jnp.sum(
            interpolate(fragments.replace(barycentric=weights), attributes, jnp.array([[3, 4, 5], [0, 1, 2]]))
        )

    slopes = jax.grad(total)(fragments.barycentric)
    np.testing.assert_array_equal(
        slopes, jnp.where((fragments.face_index >= 0)[..., None], jnp.full((8, 8, 3), 2.0), 0)
    )
