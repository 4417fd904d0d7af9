"""Decoding and encoding against the official PyTorch code's numbers on made-up weights."""

import functools
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from emoca_jax import render
from emoca_jax.codes import Codes, same_batch
from emoca_jax.convert.readers import networks
from emoca_jax.detail import DetailModel, detail_model, displaced_normals, grid_normals, unwrap_image, uv_visibility
from emoca_jax.errors import InputError
from emoca_jax.flame import AlbedoModel
from emoca_jax.model import EncoderVariables, codes_from, decode, decode_posed, encode, full_pose
from emoca_jax.nets.detail_decoder import DetailDecoder
from emoca_jax.nets.encoders import inference_variables, split_expression, split_flame
from emoca_jax.render.clay import clay_image
from tests import reference_weights
from tests.flame.made_up_flame import made_up_head
from tests.flame.small_head import EXPRESSIONS, SHAPES, small_head
from tests.shared_data import shared_path

SIZE = (224, 224)
TOLERANCE = 1e-4
FLIPPED = 5e-4
"""Share of pixels that may differ: a face flips at an edge shared by two."""


def official_codes(golden):
    pose = jnp.asarray(golden["code_posecode"])
    rest = jnp.zeros_like(pose[:, :3])
    return Codes(
        shape=jnp.asarray(golden["code_shapecode"]),
        expression=jnp.asarray(golden["code_expcode"]),
        pose=jnp.stack([pose[:, :3], rest], 1),
        jaw=pose[:, 3:],
        eyes=jnp.stack([rest, rest], 1),
        camera=jnp.asarray(golden["code_cam"]),
        light=jnp.asarray(golden["code_lightcode"]),
        albedo=jnp.asarray(golden["code_texcode"]),
        detail=jnp.asarray(golden["code_detailcode"]),
    )


@functools.cache
def painted_head():
    mean, basis = reference_weights.albedo("BFM")
    model = AlbedoModel(mean[::2, ::2, ::-1].copy(), basis[::2, ::2, ::-1, :50].copy())
    return jax.device_put(made_up_head().replace(albedo=model))


@functools.cache
def wrinkles(blend=False):
    mask = np.asarray(Image.open(shared_path("reference/assets/uv_face_eye_mask.png")))[..., 0] / np.float32(255)
    fixed = np.load(shared_path("reference/assets/fixed_displacement_256.npy")).astype(np.float32)
    decoder = networks.detail_decoder(reference_weights.detail_decoder()).variables
    return detail_model(painted_head(), decoder, mask, fixed, blend=blend, official=True)


@pytest.fixture(scope="module")
def golden():
    return {
        key: value
        for part in ("mesh", "render", "detail")
        for key, value in reference_weights.golden(f"decode_{part}").items()
    }


@pytest.fixture(scope="module")
def decoded(golden):
    return decode(painted_head(), official_codes(golden), SIZE, detail=wrinkles(), official=True)


def reference_weighting(size):
    """What the reference multiplies a picture with before it sums it; its x runs along columns."""
    x, y = jnp.meshgrid(jnp.linspace(-1, 1, size), jnp.linspace(-1, 1, size))
    return jnp.stack([jnp.sin(3 * x + y), jnp.cos(2 * y), x * y + 0.3], -1)


def check(golden, name, found, *, tolerance=TOLERANCE):
    """Against `name` or its stored subset; channels last here, second there."""
    found = np.asarray(found)
    key = next(key for key in golden if key == name or (key.startswith(f"{name}__s") and not key.endswith("stat")))
    wanted = golden[key]
    found = np.moveaxis(found, -1, 1) if found.ndim == wanted.ndim else found[:, None]
    step = int(key.partition("__s")[2] or 1)
    error = np.abs(found[..., ::step, ::step] - wanted)
    assert (error > tolerance).mean() < FLIPPED, (name, error.max())


def test_geometry_is_official(golden, decoded):
    for name, found, tolerance in (
        ("verts", decoded.vertices, 1e-6),
        ("normals", decoded.normals, TOLERANCE),
        ("trans_verts_before_render", decoded.image_vertices, 1e-5),
        ("predicted_landmarks", decoded.landmarks[..., :2], 1e-5),
        ("predicted_landmarks_mediapipe", decoded.landmarks_mediapipe[..., :2], 1e-5),
    ):
        np.testing.assert_allclose(found, golden[name], rtol=0, atol=tolerance, err_msg=name)


def test_pictures_are_official(golden, decoded):
    check(golden, "alpha_images", decoded.alpha)
    check(golden, "images", decoded.rendering)
    check(golden, "normal_images", decoded.normal_image)
    check(golden, "albedo", decoded.albedo)
    check(golden, "grid", decoded.surface.uv_plane)
    check(golden, "albedo_images", decoded.surface.albedo)
    check(golden, "geometry_coarse", clay_image(decoded.normal_image, decoded.alpha), tolerance=5e-4)


def test_details_are_official(golden, decoded):
    detail, model, head = decoded.detail, wrinkles(), painted_head()
    check(golden, "displacement_map", detail.displacement, tolerance=1e-8)
    check(golden, "uv_z", detail.predicted, tolerance=1e-8)
    check(golden, "uv_detail_normals", detail.normals)
    check(golden, "uv_shading", detail.shading)
    check(golden, "uv_texture", detail.texture)
    check(golden, "geometry_detail", clay_image(detail.normal_image, decoded.alpha), tolerance=5e-4)
    photo = reference_weights.images()[golden["image_index"]]
    check(golden, "uv_texture_gt", unwrap_image(model, decoded.image_vertices, head.faces, photo))
    check(golden, "uv_mask", uv_visibility(model, decoded.image_normals, head.faces))


def test_gradients_are_official(golden, decoded):
    """Of a weighted sum of the picture to vertices, camera, albedo and light."""
    head, codes = painted_head(), official_codes(golden)
    wanted = reference_weights.golden("decode_grad")
    weights = reference_weighting(224)[None]

    def picture(vertices, camera, albedo, light):
        posed, moved = decoded.posed.replace(vertices=vertices), codes.replace(camera=camera, light=light)
        return jnp.sum(decode_posed(head, posed, moved, SIZE, albedo, official=True).rendering * weights)

    arguments = (jnp.asarray(golden["verts"]), codes.camera, decoded.albedo, codes.light)
    found = jax.jit(jax.grad(picture, argnums=(0, 1, 2, 3)))(*arguments)
    for name, gradient in zip(("verts", "cam", "light"), (found[0], found[1], found[3]), strict=True):
        target = wanted[f"grad_images_{name}"]
        assert np.abs(gradient - target).max() < 1e-3 * np.abs(target).max(), name
    target = wanted["grad_images_albedo__s8"]
    assert np.abs(np.moveaxis(found[2], -1, 1)[..., ::8, ::8] - target).max() < 1e-3 * np.abs(target).max()


def test_detail_gradient_is_official(golden, decoded):
    head, model = painted_head(), wrinkles()
    wanted = reference_weights.golden("decode_grad")["grad_detailnormals_uvz__s4"]
    weights = reference_weighting(256)[None]

    def total(displacement):
        dense = displaced_normals(model, displacement, decoded.vertices, decoded.normals, head.faces, official=True)
        return jnp.sum(dense * weights)

    found = jax.jit(jax.grad(total))(decoded.detail.predicted)
    assert np.abs(found[:, None, ::4, ::4] - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_grid_normals_are_those_of_the_triangles():
    points = np.random.default_rng(zlib.crc32(b"grid")).normal(size=(5, 7, 3)).astype(np.float32)
    corner = np.arange(35).reshape(5, 7)[:-1, :-1].reshape(-1, 1)
    faces = np.concatenate([corner + np.array(cell) for cell in ([0, 7, 1], [1, 7, 8])])
    wanted = render.vertex_normals(jnp.asarray(points.reshape(-1, 3)), jnp.asarray(faces))
    np.testing.assert_allclose(grid_normals(jnp.asarray(points)).reshape(-1, 3), wanted, atol=1e-5)


@pytest.mark.parametrize("spacing", [1e-5, 1e-8])
def test_what_has_hardly_any_normal_takes_no_endless_gradient(spacing):
    """Beside seams of a layout triangles are points but for rounding; one such texel stopped a whole step."""
    flat = spacing * np.stack([*np.meshgrid(np.arange(3.0), -np.arange(3.0)), np.zeros((3, 3))], axis=-1)
    normals, pull = jax.vjp(grid_normals, jnp.asarray(flat, jnp.float32))
    np.testing.assert_allclose(normals, np.broadcast_to([0, 0, float(spacing > 1e-7)], (3, 3, 3)), atol=1e-6)
    (gradient,) = pull(jnp.ones_like(normals))
    assert np.isfinite(gradient).all() and bool(np.any(gradient)) == (spacing > 1e-7)


def test_encoding_takes_expression_and_jaw_from_their_own_network():
    """EMOCA v2 with jaw; the other codes are E_flame's."""
    encoders = EncoderVariables(
        flame=networks.encoder(reference_weights.flame_encoder()).variables,
        expression=inference_variables(networks.encoder(reference_weights.expression_encoder("emoca_jaw")).variables),
    )
    codes = encode(encoders, reference_weights.images()[1:2])
    wanted = reference_weights.golden("encoders_v2_deca")
    pose = wanted["emoca_posecode"][1]
    assert np.abs(pose[3:] - wanted["emoca_original_pose"][1, 3:]).max() > 0.01
    for found, target in (
        (codes.shape, wanted["emoca_shapecode"][1]),
        (codes.albedo, wanted["emoca_texcode"][1]),
        (codes.expression, wanted["emoca_expcode"][1]),
        (codes.pose[:, 0], pose[:3]),
        (codes.jaw, pose[3:]),
        (codes.camera, wanted["emoca_cam"][1]),
        (codes.light, wanted["emoca_lightcode"][1]),
    ):
        np.testing.assert_allclose(found[0], target, rtol=0, atol=2e-5)
    assert codes.detail is None and not codes.eyes.any()


@pytest.mark.thorough
def test_official_switch_moves_nothing_visible(golden, decoded):
    """The default rules differ from the reference's in edges and tiny triangles only."""
    ours = decode(painted_head(), official_codes(golden), SIZE, detail=wrinkles())
    assert (np.abs(ours.rendering - decoded.rendering).max(-1) > 0.02).mean() < 2e-3
    lengths = np.linalg.norm(ours.detail.normals, axis=-1)
    assert ((np.abs(lengths - 1) < 1e-5) | (lengths == 0)).all()


@pytest.mark.thorough
def test_smooth_edges_give_gradients_across_silhouettes(golden):
    """The same picture inside; only antialiased coverage tells the camera which way the outline should go."""
    head, codes = painted_head(), jax.tree.map(lambda leaf: leaf[:1], official_codes(golden))

    @functools.partial(jax.jit, static_argnames="edges")
    def covered(camera, edges):
        def area(camera):
            found = decode(head, codes.replace(camera=camera), (64, 64), edges=edges)
            return found.alpha.sum(), found

        return jax.value_and_grad(area, has_aux=True)(camera)

    (_, hard), of_hard = covered(codes.camera, "hard")
    (_, smooth), growth = covered(codes.camera, "antialias")
    np.testing.assert_array_equal(hard.face_index, smooth.face_index)
    inside = np.asarray(hard.alpha == smooth.alpha)
    assert 0.9 < inside.mean() < 1
    # Where the nose stands before a cheek there is an edge as well.
    assert (np.abs(hard.rendering - smooth.rendering)[inside] < 1e-5).mean() > 0.9
    assert of_hard[0, 0] == 0
    step = 0.02 * np.float32([[1, 0, 0]])
    wider, narrower = (covered(codes.camera + sign * step, "antialias")[0][0] for sign in (1, -1))
    assert float(growth[0, 0]) == pytest.approx(float(wider - narrower) / 0.04, rel=0.1)


@pytest.mark.thorough
@pytest.mark.parametrize("painted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_codes_broadcast_against_each_other_and_the_texture(painted):
    """Each with batch dimensions of its own, against face after face."""
    head, draw = small_head(), np.random.default_rng(5)

    def code(*shape: int, size: float = 0.3):
        return jnp.asarray(draw.normal(0, size, shape), jnp.float32)

    codes = Codes(
        shape=code(3, 1, SHAPES),
        expression=code(2, EXPRESSIONS),
        pose=code(2, 3),
        jaw=code(1, 3),
        eyes=code(3, 1, 2, 3),
        camera=jnp.array([4.0, 0.0, 0.0]),
        light=code(2, 9, 3),
        albedo=code(2),
        detail=code(3, 1, 5),
    )
    decoder = DetailDecoder()
    stage = DetailModel(
        decoder=decoder.init(jax.random.key(0), jnp.zeros((1, 3 + EXPRESSIONS + 5))),
        uv_fragments=render.rasterize_uv(head.uv, head.uv_faces, (256, 256)),
        mask=jnp.ones((256, 256)),
        fixed_displacement=jnp.full((256, 256), 1e-3),
    )
    texture = code(2, 4, 4, 3) if painted else None
    whole = decode(head, codes, (16, 16), texture, detail=stage)
    assert whole.albedo.shape == ((3, 2, 4, 4, 3) if painted else (4, 5, 3))
    spread = same_batch(codes, batch=(3, 2))
    # On the rim of a chart a grid cell may have no area, and its normal any direction.
    index = np.asarray(stage.uv_fragments.face_index)
    inside = np.all([np.roll(index, step, (0, 1)) == index for step in np.ndindex(2, 2)], axis=0) & (index >= 0)
    inside &= np.all([np.roll(index, (-row, -column), (0, 1)) == index for row, column in np.ndindex(2, 2)], axis=0)
    for place in ((0, 0), (2, 1)):
        own = jax.tree.map(lambda leaf, place=place: leaf[place] if leaf.ndim > 1 else leaf, spread)
        alone = decode(head, own, (16, 16), None if texture is None else texture[place[1]], detail=stage)
        for path, leaf in jax.tree_util.tree_leaves_with_path(alone.replace(detail=None)):
            found = functools.reduce(lambda node, key: getattr(node, key.name), path, whole)
            found = found[place] if found.ndim > leaf.ndim else found
            np.testing.assert_allclose(found, leaf, atol=2e-6, err_msg=jax.tree_util.keystr(path))
        for name in ("predicted", "normals", "shading", "texture"):
            found, wanted = getattr(whole.detail, name)[place], getattr(alone.detail, name)
            np.testing.assert_allclose(found[inside], wanted[inside], atol=2e-3, err_msg=name)


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("jaw", (2,), "[..., 3]"),
        ("light", (9,), "[..., 9, 3]"),
        ("camera", (4, 2), "[..., 3]"),
        ("pose", (6,), "[..., 2, 3]"),
        ("eyes", (2, 2), "[..., 2, 3]"),
    ],
)
def test_a_code_of_another_shape_is_named(name, shape, wanted):
    codes = Codes(
        shape=jnp.zeros(4), expression=jnp.zeros(3), pose=jnp.zeros((2, 3)), jaw=jnp.zeros(3), eyes=jnp.zeros((2, 3)),
        camera=jnp.zeros(3), light=jnp.zeros((9, 3)), albedo=jnp.zeros(5),
    )  # fmt: skip
    with pytest.raises(InputError) as told:
        same_batch(codes.replace(**{name: jnp.zeros(shape)}))
    assert str(told.value) == f"codes.{name} must have shape {wanted}, not {list(shape)}."


@pytest.mark.usefixtures("types_unchecked")
def test_codes_that_do_not_broadcast_are_named():
    codes = Codes(
        *(jnp.zeros(shape) for shape in ((3, 1, SHAPES), (4, EXPRESSIONS), (2, 3), 3, (2, 3), 3, (2, 9, 3), 2))
    )
    with pytest.raises(InputError, match=r"broadcast, not shape \[3, 1\], expression \[4\], light \[2\]"):
        decode(small_head(), codes, (16, 16))


def test_full_pose_puts_the_jaw_third(golden):
    codes = official_codes(golden)
    pose = full_pose(codes)
    np.testing.assert_array_equal(pose[:, 2], codes.jaw)
    np.testing.assert_array_equal(pose[:, 0], golden["code_posecode"][:, :3])


def test_codes_are_assembled_from_whoever_answers():
    """EMOCA v2 with jaw, EMOCA, DECA; and the gradient reaches whose answer it is."""
    draw = np.random.default_rng(3)
    flat = jnp.asarray(draw.normal(size=(2, 236)), jnp.float32)
    own = jnp.asarray(draw.normal(size=(2, 53)), jnp.float32)
    coarse = split_flame(flat)
    for answer, expression, jaw in (
        (split_expression(own), own[:, :50], own[:, 50:]),
        (split_expression(own[:, :50]), own[:, :50], coarse.jaw),
        (None, coarse.expression, coarse.jaw),
    ):
        codes = codes_from(coarse, expression=answer, detail=own[:, :7])
        np.testing.assert_array_equal(codes.expression, expression)
        np.testing.assert_array_equal(codes.jaw, jaw)
        np.testing.assert_array_equal(codes.detail, own[:, :7])
        np.testing.assert_array_equal(codes.shape, flat[:, :100])
    of_flame, of_expression = jax.grad(
        lambda flat, own: codes_from(split_flame(flat), expression=split_expression(own)).expression.sum(),
        argnums=(0, 1),
    )(flat, own)
    assert not of_flame.any() and (of_expression[:, :50] == 1).all()
