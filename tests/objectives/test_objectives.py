"""Whole losses: what they are made of, on faces whose loss is known; the official numbers are in the parity table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from emoca_jax import render
from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel
from emoca_jax.errors import InputError
from emoca_jax.fit.light import ambient_light
from emoca_jax.flame import load_head
from emoca_jax.losses.detail import FaceSpan
from emoca_jax.model import decode
from emoca_jax.nets.detail_decoder import DetailDecoder
from emoca_jax.objectives.coarse import (
    DECA_COARSE_WEIGHTS,
    EMOCA_COARSE_WEIGHTS,
    CoarseBatch,
    Judges,
    coarse_objective,
)
from emoca_jax.objectives.detail import EMOCA_DETAIL_WEIGHTS, DetailBatch, detail_objective
from emoca_jax.objectives.emotion_eyes import EmotionEye, EmotionRead
from tests.flame.small_head import EXPRESSIONS, small_head

SIZE = (64, 64)
GEOMETRY = {name: 1.0 for name in ("landmarks", "eyes", "lips", "mouth_corners", "landmarks_mediapipe", "photometric")}


@pytest.fixture(scope="module")
def head():
    return load_head("open")


@pytest.fixture(scope="module")
def codes(head):
    return Codes(
        shape=0.5 * jnp.ones((2, head.shape_dirs.shape[-1])),
        expression=jnp.zeros((2, len(head.expression_names))),
        pose=jnp.zeros((2, 2, 3)),
        jaw=jnp.zeros((2, 3)),
        eyes=jnp.zeros((2, 2, 3)),
        camera=jnp.broadcast_to(jnp.array([6.0, 0.0, 0.0]), (2, 3)),
        light=ambient_light(batch=(2,)),
        albedo=jnp.zeros((2, head.albedo.basis.shape[-1])),
    )


@pytest.fixture(scope="module")
def found(head, codes):
    return decode(head, codes, SIZE)


def own_photo(head, found, **changes) -> CoarseBatch:
    """The rendering as the photo, with the points that it shows."""
    mesh = jnp.zeros((2, 478, 3)).at[:, head.mediapipe_index].set(found.landmarks_mediapipe)
    return CoarseBatch(found.rendering, found.landmarks, mesh).replace(**changes)


@pytest.mark.parametrize("edges", ["hard", "antialias"])
def test_a_face_that_is_its_own_photo_loses_only_by_its_priors(head, codes, edges):
    found = decode(head, codes, SIZE, edges=edges)
    weights = GEOMETRY | {"shape_prior": 1e-4, "expression_prior": 1e-4, "light_colour": 1.0}
    objective = coarse_objective(head, codes, found, own_photo(head, found), Judges(), weights)
    expected = 1e-4 * 0.25 * codes.shape.size / 2
    np.testing.assert_allclose(objective.terms["shape_prior"], expected, rtol=1e-5)
    np.testing.assert_allclose(objective.total, expected, rtol=1e-4)


def test_centred_emotion_is_blind_to_what_all_renderings_share(head, codes, found):
    """Photos brighter than their renderings by .3 and .1: mean squares .05, about the mean of both .01."""

    def brightness(variables, pictures, landmarks):
        return EmotionRead(pictures.mean(axis=(1, 2)), jnp.zeros((len(pictures), 8)))

    judges = Judges(emotion={}, eye=EmotionEye(brightness, over_photo=False))
    brighter = found.rendering + jnp.array([0.3, 0.1])[:, None, None, None]
    batch = own_photo(head, found, images=brighter)
    terms = coarse_objective(head, codes, found, batch, judges, {"emotion": 2.0, "emotion_centred": 3.0}).terms
    np.testing.assert_allclose(terms["emotion"], 2 * 0.05, rtol=1e-4)
    np.testing.assert_allclose(terms["emotion_centred"], 3 * 0.01, rtol=1e-3)


def test_emotion_by_the_angle_is_blind_to_how_much_and_not_to_what(head, codes, found):
    """Photos twice as bright as their renderings: squares tell them apart, 1 - cos does not until colours change."""

    def colour(variables, pictures, landmarks):
        return EmotionRead(pictures.mean(axis=(1, 2)), jnp.zeros((len(pictures), 8)))

    judges, shown = Judges(emotion={}, eye=EmotionEye(colour, over_photo=False)), np.asarray(found.rendering)

    def terms(images):
        batch = own_photo(head, found, images=jnp.asarray(images))
        return coarse_objective(head, codes, found, batch, judges, {"emotion": 1.0, "emotion_cosine": 3.0}).terms

    brighter, other = terms(2 * shown), terms(shown * np.array([2, 1, 0.5], np.float32))
    assert brighter["emotion"] > 1e-3
    np.testing.assert_allclose(brighter["emotion_cosine"], 0, atol=1e-6)
    felt = shown.astype(np.float64).mean(axis=(1, 2))
    changed = felt * [2, 1, 0.5]
    cosine = (felt * changed).sum(axis=1) / np.linalg.norm(felt, axis=1) / np.linalg.norm(changed, axis=1)
    np.testing.assert_allclose(other["emotion_cosine"], 3 * np.mean(1 - cosine), rtol=1e-4)


def test_terms_are_weighted_once_and_masked_once(head, codes, found):
    """Points moved by d cost d per coordinate; grey photos cost grey where the one mask lets them."""
    moved = found.landmarks + jnp.array([[[0.02, -0.04, 0.0]]])
    grey = jnp.full_like(found.rendering, 0.5)
    half = jnp.zeros((2, *SIZE)).at[:, :, :32].set(1.0)
    batch = own_photo(head, found, landmarks=moved, images=grey, mask=half)
    weights = {"landmarks": 3.0, "photometric": 2.0}
    for kind, mask in (("rendered", found.alpha), ("ground truth", half), ("intersection", found.alpha * half)):
        objective = coarse_objective(head, codes, found, batch, Judges(), weights, mask_kind=kind)
        np.testing.assert_allclose(objective.terms["landmarks"], 3.0 * 0.03, rtol=1e-4)
        error = np.abs(found.rendering - grey) * np.asarray(mask)[..., None]
        np.testing.assert_allclose(objective.terms["photometric"], 2.0 * error.mean(), rtol=1e-5)
        assert float(objective.total) == pytest.approx(float(sum(objective.terms.values())))


def test_networks_are_asked_only_for_weights_that_name_them(head, codes, found):
    """No judge is here: EMOCA's and DECA's weights without those terms need none, and a wrong name is told."""
    batch = own_photo(head, found)
    for weights in (DECA_COARSE_WEIGHTS, EMOCA_COARSE_WEIGHTS):
        blind = {name: weight for name, weight in weights.items() if name not in ("emotion", "identity")}
        objective = coarse_objective(head, codes, found, batch, Judges(), blind)
        assert set(objective.terms) == set(blind) and not objective.metrics
    for name in ("emotion", "identity"):
        with pytest.raises(InputError, match=f"'{name}' has a weight but no network"):
            coarse_objective(head, codes, found, batch, Judges(), {name: 1.0})
    with pytest.raises(InputError, match=r"no term 'emotions'; weights can be given to .*emotion"):
        coarse_objective(head, codes, found, batch, Judges(), {"emotions": 1.0})
    with pytest.raises(InputError, match="no term 'eyes_mediapipe'"):
        lone = batch.replace(landmarks_mediapipe=None)
        coarse_objective(head, codes, found, lone, Judges(), {"eyes_mediapipe": 1.0})


@pytest.mark.thorough
def test_masks_and_photos_carry_no_gradient_but_codes_do(head, codes, found):
    batch = own_photo(head, found, images=jnp.full_like(found.rendering, 0.5))

    def loss(codes, uv_mask):
        drawn = decode(head, codes, SIZE)
        weights = {"photometric": 1.0, "eyes": 1.0}
        return coarse_objective(head, codes, drawn, batch, Judges(), weights, uv_mask=uv_mask).total

    of_codes, of_mask = jax.jit(jax.grad(loss, argnums=(0, 1)))(codes, jnp.full((16, 16), 0.5))
    assert not of_mask.any()
    blind, sighted = loss(codes, jnp.zeros((16, 16))), loss(codes, jnp.ones((16, 16)))
    assert float(blind) < float(sighted), "where the uv mask is zero nothing is compared"
    assert np.abs(of_codes.light).max() > 0 and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(of_codes))


@pytest.mark.thorough
def test_the_photometric_term_of_a_layout_of_its_own():
    """A photo of one colour, the face somewhere in the layout: what NumPy says of the same texels."""
    head, size, span = small_head(), 32, FaceSpan(256, 1472, 640, 1920)
    codes = Codes(
        shape=jnp.zeros((1, head.shape_dirs.shape[-1])), expression=jnp.zeros((1, EXPRESSIONS)),
        pose=jnp.zeros((1, 2, 3)), jaw=jnp.zeros((1, 3)), eyes=jnp.zeros((1, 2, 3)),
        camera=jnp.array([[4.0, 0.0, 0.0]]), light=ambient_light(batch=(1,)), albedo=jnp.zeros((1, 2)),
        detail=jnp.zeros((1, 1)),
    )  # fmt: skip
    draw = np.random.default_rng(4)
    mask = draw.uniform(size=(size, size)).astype(np.float32)
    stage = DetailModel(
        decoder={}, uv_fragments=render.rasterize_uv(jnp.asarray(head.uv), jnp.asarray(head.uv_faces), (size, size)),
        mask=jnp.asarray(mask), fixed_displacement=jnp.zeros((size, size)), span=span,
    )  # fmt: skip
    displacement = jnp.asarray(draw.normal(0, 1e-3, (1, size, size)), jnp.float32)
    batch = DetailBatch(jnp.full((1, *SIZE, 3), 0.5), jnp.ones((1, *SIZE)))

    @jax.jit
    def judged(head, stage):
        found = decode(head, codes, SIZE, detail=stage, displacement=displacement)
        total = detail_objective(head, stage, found, batch, None, {"photometric": 2.0}).total
        return total, found.image_normals[0], found.detail.texture[0]

    told, normals, texture = map(np.asarray, judged(head, stage))
    faces, index = np.asarray(head.faces), np.asarray(stage.uv_fragments.face_index)
    normals = normals[faces[index]][..., 2]
    turned = np.sum(normals * np.asarray(stage.uv_fragments.barycentric), axis=-1) < -0.05
    assert turned[index >= 0].any() and not turned[index >= 0].all()

    def patch(texture: np.ndarray) -> np.ndarray:
        top, bottom, left, right = (pixel // 64 for pixel in span)
        rows, columns = (
            np.clip((np.arange(size) + 0.5) * (end - begin) / size - 0.5, 0, end - begin - 1) + begin
            for begin, end in ((top, bottom), (left, right))
        )
        return ndimage.map_coordinates(texture, np.meshgrid(rows, columns, indexing="ij"), order=1)

    visible = patch(mask * turned * (index >= 0))
    off = [np.abs((patch(texture[..., channel]) - 0.5) * visible) for channel in range(3)]
    np.testing.assert_allclose(told, 2 * np.mean(off), rtol=1e-4)


@pytest.mark.slow
def test_detail_terms_on_a_small_head():
    """Size, roughness and asymmetry of a displacement are what NumPy says; without its stage there is no loss."""
    head = small_head()
    decoder = DetailDecoder()
    codes = Codes(
        shape=jnp.zeros((1, head.shape_dirs.shape[-1])),
        expression=jnp.zeros((1, EXPRESSIONS)),
        pose=jnp.zeros((1, 2, 3)),
        jaw=jnp.zeros((1, 3)),
        eyes=jnp.zeros((1, 2, 3)),
        camera=jnp.array([[4.0, 0.0, 0.0]]),
        light=ambient_light(batch=(1,)),
        albedo=jnp.zeros((1, 2)),
        detail=jnp.ones((1, 5)),
    )
    latent = jnp.zeros((1, 3 + EXPRESSIONS + 5))
    stage = DetailModel(
        decoder=decoder.init(jax.random.key(0), latent),
        uv_fragments=render.rasterize_uv(jnp.asarray(head.uv), jnp.asarray(head.uv_faces), (256, 256)),
        mask=jnp.ones((256, 256)),
        fixed_displacement=jnp.full((256, 256), 1e-3),
    )
    found = decode(head, codes, SIZE, detail=stage)
    batch = DetailBatch(jnp.full((1, *SIZE, 3), 0.5), jnp.ones((1, *SIZE)))
    weights = {name: weight for name, weight in EMOCA_DETAIL_WEIGHTS.items() if name != "mrf"}
    objective = detail_objective(head, stage, found, batch, None, weights)
    predicted = np.asarray(found.detail.displacement, np.float64) - 1e-3
    np.testing.assert_allclose(objective.terms["displacement_size"], 0.005 * np.abs(predicted).mean(), rtol=1e-3)
    rows, columns = (np.diff(np.asarray(found.detail.shading, np.float32), axis=axis) for axis in (1, 2))
    rough = (rows[:, :, 1:-1] ** 2).mean() + (columns[:, 1:-1] ** 2).mean()
    np.testing.assert_allclose(objective.terms["shading_roughness"], 0.005 * rough, rtol=1e-4)
    assert float(objective.terms["asymmetry"]) > 0 and float(objective.metrics["photometric_image"]) > 0
    given = decode(head, codes, SIZE, detail=stage, displacement=0.5 * found.detail.predicted)
    np.testing.assert_allclose(given.detail.predicted, 0.5 * found.detail.predicted)
    with pytest.raises(InputError, match="'mrf' has a weight but no network"):
        detail_objective(head, stage, found, batch, None, EMOCA_DETAIL_WEIGHTS)
    with pytest.raises(InputError, match="pass `detail` to `decode`"):
        detail_objective(head, stage, found.replace(detail=None), batch, None, weights)
