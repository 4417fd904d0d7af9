"""Meshes, images and sizes that no drawing function can use: each says which argument, what it wants, what it got."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax import render
from emoca_jax.errors import InputError

VERTICES = jnp.array([[-0.5, -0.5, 1.0], [0.5, -0.5, 1.0], [0.0, 0.5, 1.0]])
FACES = jnp.array([[0, 1, 2]])
IMAGE, SIZE = jnp.ones((4, 4, 3)), (4, 4)
FRAGMENTS = render.rasterize(VERTICES, FACES, SIZE)


def white(fragments):
    return jnp.ones((*fragments.depth.shape, 3))


DRAWING = {
    "rasterize": render.rasterize,
    "soft_silhouette": render.soft_silhouette,
    "soft_rasterize": lambda vertices, faces, size: render.soft_rasterize(vertices, faces, VERTICES, size),
    "soft_fragments": lambda vertices, faces, size: render.soft_fragments(vertices, faces, size, blur_radius=1e-4),
    "draw": lambda vertices, faces, size: render.draw(white, vertices, faces, size),
}
ON_MESHES = {
    "antialias": lambda vertices, faces, _: render.antialias(
        jnp.ones((*vertices.shape[:-2], 4, 4, 3)), FRAGMENTS, vertices, faces
    ),
    "barycentric_slopes": lambda vertices, faces, _: render.barycentric_slopes(FRAGMENTS, vertices, faces),
    "face_normals": lambda vertices, faces, _: render.face_normals(vertices, faces),
    "vertex_normals": lambda vertices, faces, _: render.vertex_normals(vertices, faces),
}


@pytest.mark.parametrize("name", [*DRAWING, *ON_MESHES])
@pytest.mark.parametrize(
    ("vertices", "faces", "said"),
    [
        (VERTICES[:, :2], FACES, "vertices must be floats [..., vertices, 3], not float32 [3, 2]."),
        (VERTICES, jnp.zeros((1, 4), int), "faces must be integers [faces, 3], not int32 [1, 4]."),
        (VERTICES, FACES.astype(float), "faces must be integers [faces, 3], not float32 [1, 3]."),
        (
            VERTICES[None].repeat(2, 0),
            FACES[None].repeat(2, 0),
            "faces must be integers [faces, 3], not int32 [2, 1, 3].",
        ),
    ],
    ids=["flat vertices", "square faces", "float faces", "batched faces"],
)
def test_meshes(name, vertices, faces, said):
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        (DRAWING | ON_MESHES)[name](vertices, faces, SIZE)


@pytest.mark.parametrize("name", DRAWING)
@pytest.mark.parametrize("size", [32, [32, 32], (32,), (0, 32)])
def test_sizes(name, size):
    with pytest.raises(InputError, match=r"^size must be a tuple \(height, width\) .* not " + re.escape(repr(size))):
        DRAWING[name](VERTICES, FACES, size)


@pytest.mark.parametrize(
    ("wrong", "argument", "wanted", "found"),
    [
        (lambda: render.interpolate(FRAGMENTS, VERTICES[0], FACES), "attributes", "floats [..., vertices, channels]",
         [3]),
        (lambda: render.sample_texture(IMAGE, VERTICES), "uv", "floats [..., 2]", [3, 3]),
        (
            lambda: render.sample_texture(IMAGE[..., 0], VERTICES[:, :2]),
            "texture", "floats [..., height, width, channels]", [4, 4],
        ),
        (lambda: render.spherical_harmonics(VERTICES, jnp.ones((3, 9))), "light", "floats [..., 9, 3]", [3, 9]),
        (lambda: render.weak_perspective(VERTICES, jnp.ones(2)), "camera", "floats [..., 3]", [2]),
        (lambda: render.push_pull(IMAGE, IMAGE), "weights", "floats [size, size, 1]", [4, 4, 3]),
        (
            lambda: render.antialias(IMAGE, FRAGMENTS, VERTICES[None].repeat(2, 0), FACES),
            "vertices", "floats [..., vertices, 3] that go with the arguments before it", [2, 3, 3],
        ),
    ],
)  # fmt: skip
def test_other_arrays(wrong, argument, wanted, found):
    with pytest.raises(InputError) as error:
        wrong()
    assert str(error.value) == f"{argument} must be {wanted}, not float32 {found}."


@pytest.mark.parametrize(("near", "far"), [(1.0, 1.0), (2, 1)])
def test_depths_that_leave_no_room_are_refused(near, far):
    """Equal ones would divide by nothing."""
    with pytest.raises(InputError, match=f"^near is {near} and far is {far}; give a far beyond near.$"):
        render.soft_rasterize(VERTICES, FACES, VERTICES, SIZE, near=near, far=far)


@pytest.mark.parametrize("options", [{"far": np.inf}, {"near": -np.inf}])
def test_depths_without_end_are_none(options: dict[str, float]):
    with pytest.raises(InputError, match="inf; give a number that is not infinite"):
        render.soft_rasterize(VERTICES, FACES, VERTICES, SIZE, **options)


@pytest.mark.parametrize("rows", [0, 2, 5])
def test_attributes_are_a_row_for_each_vertex_or_chosen(rows: int):
    colours = jnp.ones((rows, 3))
    with pytest.raises(InputError, match=f"one row for each of the {len(VERTICES)} vertices, not {rows} rows"):
        render.soft_rasterize(VERTICES, FACES, colours, SIZE)
    if rows == 0:
        with pytest.raises(InputError, match="have no attributes; give the rows that attribute_faces number"):
            render.soft_rasterize(VERTICES, FACES, colours, SIZE, attribute_faces=FACES)
    else:
        shown = render.soft_rasterize(VERTICES, FACES, colours, SIZE, attribute_faces=jnp.zeros_like(FACES))
        assert shown.shape == (*SIZE, 4)


def test_a_rendering_is_laid_over_an_image_of_its_size():
    image = jnp.zeros((*SIZE, 3))
    with pytest.raises(InputError, match=r"^alpha must be floats"):
        render.over(image, image, jnp.zeros((*SIZE, 1)))


@pytest.mark.parametrize(
    ("draw", "name", "value", "found"),
    [
        (render.soft_silhouette, "sigma", jnp.ones(2), "float32 [2]"),
        (render.soft_silhouette, "blur_radius", np.zeros((1,), np.float32), "float32 [1]"),
        (render.soft_silhouette, "sigma", "1e-4", "of type str"),
        (functools.partial(render.soft_rasterize, attributes=VERTICES), "gamma", jnp.array(True), "bool []"),
        (render.soft_fragments, "blur_radius", jnp.ones((2, 3)), "float32 [2, 3]"),
    ],
)
@pytest.mark.usefixtures("types_unchecked")
def test_softness_is_a_number(draw, name, value, found):
    with pytest.raises(InputError) as error:
        draw(VERTICES, FACES, size=SIZE, **{name: value})
    assert str(error.value) == f"{name} must be a number, not {found}."


def test_numpy_and_meshes_of_their_own_are_welcome():
    host = render.rasterize(np.asarray(VERTICES, np.float64), np.asarray(FACES, np.uint32), SIZE)
    np.testing.assert_array_equal(host.face_index, FRAGMENTS.face_index)
    turned = jnp.stack([FACES, FACES[:, ::-1]])
    each = jax.vmap(lambda own: render.rasterize(VERTICES, own, SIZE, cull="back").face_index)(turned)
    assert (each[0] == FRAGMENTS.face_index).all() != (each[1] == FRAGMENTS.face_index).all()


@pytest.mark.parametrize(
    ("image", "drawn"), [((400, 4, 4, 3), (2,)), ((3, 4, 4, 3), (2,)), ((2, 5, 4, 3), (2,)), ((4, 4, 3), (2,))]
)
def test_images_of_other_fragments_are_turned_down(image, drawn):
    """Kernels would read beyond the end of arrays that are too short."""
    fragments = render.rasterize(jnp.broadcast_to(VERTICES, (*drawn, 3, 3)), FACES, SIZE)
    with pytest.raises(InputError, match="does not belong to fragments"):
        render.antialias(jnp.ones(image), fragments, VERTICES, FACES)


def test_one_images_fragments_serve_a_batch():
    image = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 3, *SIZE, 3)).astype(np.float32))
    whole = render.antialias(image, FRAGMENTS, VERTICES, FACES)
    for place in np.ndindex(2, 3):
        np.testing.assert_array_equal(whole[place], render.antialias(image[place], FRAGMENTS, VERTICES, FACES))


def test_nothing_at_all_is_drawn_as_nothing():
    none = jnp.zeros((0, 3, 3))
    assert render.soft_rasterize(none, FACES, VERTICES, SIZE).shape == (0, *SIZE, 4)
    assert render.spherical_harmonics(none, jnp.zeros((0, 9, 3))).shape == (0, 3, 3)


@pytest.mark.thorough
@pytest.mark.parametrize("wrong", [{"sigma": jnp.nan}, {"sigma": -1.0}, {"blur_radius": -1.0}, {"gamma": 0.0},
                                   {"near": 2.0, "far": 2.0}])  # fmt: skip
def test_traced_softness_that_makes_no_sense_gives_no_picture(wrong):
    def soft(options):
        return render.soft_rasterize(VERTICES, FACES, VERTICES, (6, 8), **options)

    assert np.isnan(jax.jit(soft)(jax.tree.map(jnp.float32, wrong))).all()
    assert np.isfinite(jax.jit(soft)({name: jnp.float32(0.5) for name in wrong if name != "near"} | {"far": 9.0})).all()
