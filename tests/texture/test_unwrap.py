"""Unwrapping photos that were rendered from a known texture."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.fit.light import ambient_light
from emoca_jax.model import decode
from emoca_jax.texture.layout import mirrored, texture_layout
from emoca_jax.texture.refine import refined, texture_size
from emoca_jax.texture.surface import skin_surface
from emoca_jax.texture.unwrap import completed, observed, unwrap

SIDE = 512
SIZE = 512
TURNED = 0.6
"""Yaw in radians that hides one cheek."""


@functools.cache
def open_head():
    head = flame.load_head("open")
    return head, texture_layout(head, size=SIZE)


@functools.cache
def open_surface():
    return skin_surface(*open_head())


def made_up_codes(head, yaw: float) -> Codes:
    points = np.array(flame.landmarks68_fixed(head, head.template))
    low, high = points.min(0), points.max(0)
    light = ambient_light().at[1].set(0.35).at[2].set(0.2).at[3].set(0.3)
    rng = np.random.default_rng(0)
    return Codes(
        shape=jnp.array(rng.normal(0, 0.7, head.shape_dirs.shape[-1]), jnp.float32),
        expression=jnp.zeros(head.expression_dirs.shape[-1]),
        pose=jnp.zeros((2, 3)).at[0, 1].set(yaw),
        jaw=jnp.zeros(3),
        eyes=jnp.zeros((2, 3)),
        camera=jnp.array([1.4 / np.ptp(points[:, 1]), *(-(low + high) / 2)[:2]], jnp.float32),
        light=light,
        albedo=jnp.zeros(head.albedo.basis.shape[-1]).at[0].set(1.0),
    )


def model_albedo(head, codes, size=SIZE) -> np.ndarray:
    albedo = jax.image.resize(flame.albedo_map(head.albedo, codes.albedo), (size, size, 3), "linear")
    return np.clip(np.array(albedo), 0, 1)


def made_up_texture(head, layout, codes) -> np.ndarray:
    """The model's albedo with a pattern on it: smooth in three colours and a stripe that only one side has."""
    base = jax.image.resize(flame.albedo_map(head.albedo, codes.albedo), (SIZE, SIZE, 3), "linear")
    place = np.array(render.interpolate(layout.fragments, head.template, head.faces)) * 1000
    waves = np.stack(
        [np.sin(place[..., 1] / 4), np.sin(place[..., 1] / 7 + place[..., 2] / 5), np.cos(place[..., 0] / 6)], -1
    )
    pattern = (1 + 0.12 * waves) * np.where(stripe(head, layout), 0.6, 1.0)[..., None]
    return np.clip(np.array(base) * pattern, 0, 1).astype(np.float32)


def stripe(head, layout) -> np.ndarray:
    """Four millimetres wide and as long as a cheek: a shadow, or hair."""
    place = np.array(render.interpolate(layout.fragments, head.template, head.faces)) * 1000
    return (np.abs(place[..., 1] - place[..., 2] + 20) < 3) & (place[..., 0] > 20)


@functools.cache
def results(yaw: float):
    head, layout = open_head()
    codes = made_up_codes(head, yaw)
    photo = _fine_photo(head, codes, made_up_texture(head, layout, codes))
    return unwrap(head, layout, open_surface(), codes, _decoded(head, codes), photo)


def unwrapped(yaw: float):
    """Texture that went in, texture that came out, how visible it was."""
    head, layout = open_head()
    result = results(yaw)
    return made_up_texture(head, layout, made_up_codes(head, yaw)), result.albedo, result.visible


def _fine_photo(head, codes, texture):
    """Drawn with four samples a pixel."""
    return _photo_of(head, codes, jnp.array(texture), 2 * SIDE).reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3))


def _lit(head, layout, codes, bare):
    return np.asarray(bare * observed(head, layout, codes, _decoded(head, codes), jnp.zeros((SIDE, SIDE, 3))).shading)


def _decoded(head, codes):
    return decode(head, codes, (SIDE, SIDE))


@functools.partial(jax.jit, static_argnums=3)
def _photo_of(head, codes, texture, side):
    return decode(head, codes, (side, side), texture).rendering


def decibels(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b)[where] ** 2)))


@pytest.mark.parametrize("yaw", [0.0, TURNED])
def test_what_was_seen_comes_back(yaw):
    head, layout = open_head()
    texture, got, visible = unwrapped(yaw)
    clear = (visible > 0.9) & (np.array(layout.skin) > 0) & ~stripe(head, layout)
    assert clear.sum() > 0.05 * (np.array(layout.skin) > 0).sum()
    # Waves are as narrow as folds and blotches, and taken for these in part.
    assert decibels(texture, got, clear) > 32.5
    assert head.albedo is not None
    model = np.array(jax.image.resize(head.albedo.mean, (SIZE, SIZE, 3), "linear"))
    assert decibels(texture, got, clear) > decibels(texture, model, clear) + 10


def test_hidden_cheek_takes_the_other_ones_pattern():
    """Turned to one side, the far cheek gets the near one's waves, and its own stripe or none as the near one has."""
    head, layout = open_head()
    texture, got, visible = unwrapped(TURNED)
    seen_there = np.array(mirrored(layout, jnp.array(visible)[..., None]))[..., 0]
    hidden = (visible < 0.02) & (seen_there > 0.95) & (np.array(layout.face) > 0.99) & (np.array(layout.skin) > 0)
    assert hidden.sum() > 300
    model = np.array(flame.albedo_map(head.albedo, made_up_codes(head, TURNED).albedo))
    model = np.array(jax.image.resize(model, (SIZE, SIZE, 3), "linear"))
    other = np.array(mirrored(layout, jnp.array(texture)))
    pattern = [np.log((colours + 0.04) / (model + 0.04))[hidden].ravel() for colours in (got, other, texture)]
    from_other, from_own = np.corrcoef(pattern)[0, 1:]
    assert from_other > 0.6 and from_own < from_other - 0.1
    assert decibels(other, got, hidden) > 30


def test_nothing_seen_is_the_model_and_no_hole():
    head, layout = open_head()
    codes = made_up_codes(head, 0.0)
    aside = codes.replace(camera=codes.camera + jnp.array([0.0, 5.0, 0.0]))
    result = unwrap(head, layout, open_surface(), aside, _decoded(head, aside), jnp.ones((SIDE, SIDE, 3)))
    model = jax.image.resize(flame.albedo_map(head.albedo, codes.albedo), (SIZE, SIZE, 3), "linear")
    covered = np.array(layout.fragments.face_index) >= 0
    bare = np.clip(model, 0, 1) * (1 - np.asarray(layout.lashes)[..., None])
    apart = np.abs(result.albedo - bare)[covered].max(-1)
    # But for borders of the charts: seams are evened out, and one part no longer runs into the next.
    assert np.quantile(apart, 0.9) < 1e-3 and apart.max() < 0.1
    assert (result.visible == 0).all() and np.isfinite(result.albedo).all()
    # Lashes are in both: what lights one is the same on them and beside.
    light = result.lit.mean(-1) / np.maximum(result.albedo.mean(-1), 1e-3)
    shade = np.asarray(layout.lashes)
    beside = (shade == 0) & (np.asarray(layout.brows_eyes) > 0.9) & (np.asarray(layout.skin) > 0)
    assert abs(np.median(light[shade > 0.4]) / np.median(light[beside]) - 1) < 0.1
    # Off the charts the nearest texel goes on.
    # The throat's is nearly black.
    assert (np.array(result.albedo)[~covered].max(-1) > 0.02).mean() > 0.9


def test_mirror_is_symmetric():
    head, layout = open_head()
    place = render.interpolate(layout.fragments, head.template, head.faces)
    covered = np.array(layout.fragments.face_index) >= 0
    error = np.linalg.norm(np.array(mirrored(layout, place) * jnp.array([[[-1.0, 1, 1]]]) - place), axis=-1)[covered]
    assert np.quantile(error, 0.95) < 1e-3
    np.testing.assert_allclose(np.array(layout.mirror_weight)[covered].sum(-1), 1, atol=1e-5)


def jumps(head, texture) -> np.ndarray:
    """Largest difference of a channel between the texture coordinates of each vertex of the skin that has several, of
    255, as any program looks them up."""
    skin = np.asarray(head.face_part) == head.part_names.index("skin")
    corners = np.stack([np.asarray(head.faces)[skin], np.asarray(head.uv_faces)[skin]], -1)
    pairs = np.unique(corners.reshape(-1, 2), axis=0)
    sides = {vertex: pairs[pairs[:, 0] == vertex, 1] for vertex in pairs[np.flatnonzero(np.diff(pairs[:, 0]) == 0), 0]}
    assert len(sides) > 70
    colour = np.array(render.sample_texture(jnp.round(texture * 255), jnp.asarray(head.uv)))
    return np.array([np.ptp(colour[list(ends)], axis=0).max() for ends in sides.values()])


@pytest.mark.parametrize("yaw", [0.0, TURNED])
def test_no_seam_shows(yaw):
    head, _ = open_head()
    result = results(yaw)
    assert jumps(head, model_albedo(head, made_up_codes(head, yaw))).max() > 10
    assert jumps(head, result.albedo).max() <= 2 and jumps(head, result.lit).max() <= 2


def test_hair_is_not_skin_and_what_it_hid_is_completed():
    """A dark fringe over the forehead and a strand on one cheek: neither is left in the texture, skin is there."""
    head, layout = open_head()
    codes = made_up_codes(head, 0.0)
    place = np.array(render.interpolate(layout.fragments, head.template, head.faces))
    brows = np.array(flame.landmarks68_fixed(head, head.template))[17:27]
    fringe = (place[..., 1] > brows[:, 1].max() + 0.008) & (np.array(layout.skin) > 0)
    strand = (np.abs(place[..., 0] - 0.045) < 0.006) & (np.abs(place[..., 1] + 0.035) < 0.05)
    strand &= (place[..., 2] > 0) & (np.array(layout.skin) > 0)
    bare = np.clip(
        np.array(jax.image.resize(flame.albedo_map(head.albedo, codes.albedo), (SIZE, SIZE, 3), "linear")), 0, 1
    )
    covered = np.where((fringe | strand)[..., None], np.array([0.12, 0.08, 0.05]), bare).astype(np.float32)
    result = unwrap(head, layout, open_surface(), codes, _decoded(head, codes), _fine_photo(head, codes, covered))
    seen = (
        unwrap(head, layout, open_surface(), codes, _decoded(head, codes), _fine_photo(head, codes, bare)).visible > 0.9
    )
    assert (seen & fringe).sum() > 2000 and (seen & strand).sum() > 200
    for hidden in (fringe, strand):
        assert result.visible[seen & hidden].mean() < 0.05
        assert np.abs(result.albedo - bare)[seen & hidden].mean() < 0.03
    assert result.visible[seen & ~fringe & ~strand].mean() > 0.7


@pytest.mark.parametrize(("shown", "left"), [(0.0, 0.0), (3.0, 1.0)])
def test_the_models_beard_stays_only_where_the_photo_shows_one(shown, left):
    """A fit that takes shade for a beard, over the back of the jaw, which the photo does not show."""
    head, layout = open_head()
    assert head.albedo is not None
    basis, chin, cheeks = (
        np.asarray(head.albedo.basis),
        *(
            np.asarray(jax.image.resize(area * layout.skin, (256, 256), "linear"))[..., None, None]
            for area in (layout.chin, layout.middle)
        ),
    )
    beard = int(np.argmax((np.abs(basis) * (chin - cheeks)).sum((0, 1, 2))))
    dark = -np.sign((basis * chin).sum((0, 1, 2))[beard])
    bare = made_up_codes(head, 0.0)

    def grown(by: float) -> Codes:
        return bare.replace(albedo=bare.albedo.at[beard].set(dark * by))

    photo = _fine_photo(head, bare, model_albedo(head, grown(shown)))
    got = observed(head, layout, grown(2.0), _decoded(head, bare), photo)
    hidden = (np.array(layout.beard) > 0.99) & (np.array(layout.skin) > 0) & (np.array(got.sight) == 0)
    none, full = (np.log(model_albedo(head, grown(by)) + 0.04)[hidden].mean() for by in (0.0, 2.0))
    share = (np.log(np.asarray(got.model) + 0.04)[hidden].mean() - none) / (full - none)
    assert hidden.sum() > 500 and full < none - 0.1
    assert share == pytest.approx(left, abs=0.05)


def test_grey_photos_give_grey_heads():
    head, layout = open_head()
    codes = made_up_codes(head, 0.0)
    photo = np.asarray(_fine_photo(head, codes, made_up_texture(head, layout, codes))).mean(-1, keepdims=True)
    photo = np.repeat(photo, 3, axis=-1)
    result = unwrap(head, layout, open_surface(), codes, _decoded(head, codes), jnp.array(photo))
    assert np.ptp(result.albedo, axis=-1).max() < 1e-5


def test_dark_photos_keep_their_colour():
    """A tenth of the light: the cheeks' strongest and weakest channel are 6 of 255 apart."""
    head, layout = open_head()
    codes = made_up_codes(head, 0.0)
    photo = 0.1 * np.asarray(_fine_photo(head, codes, made_up_texture(head, layout, codes)))
    seen = observed(head, layout, codes, _decoded(head, codes), jnp.asarray(photo, jnp.float32))
    assert float(seen.colour) > 0.9


def test_light_on_one_side_is_no_pigment():
    """A lamp that the light's nine numbers do not know: brightness and colour of both sides come back alike."""
    head, layout = open_head()
    codes = made_up_codes(head, 0.0)
    bare = np.clip(
        np.array(jax.image.resize(flame.albedo_map(head.albedo, codes.albedo), (SIZE, SIZE, 3), "linear")), 0, 1
    )
    photo = np.asarray(_fine_photo(head, codes, bare))
    lamp = 1 + 0.35 * np.clip(np.linspace(-1, 1, SIDE), 0, 1)[None, :, None] * np.array([1.0, 0.7, 0.3])
    result = unwrap(head, layout, open_surface(), codes, _decoded(head, codes), jnp.array(photo * lamp, jnp.float32))
    clear = (result.visible > 0.9) & (np.array(layout.skin) > 0) & (np.array(layout.face) > 0.9)
    before = np.abs(result.lit / np.maximum(_lit(head, layout, codes, bare), 1e-3) - 1)[clear].mean()
    assert before > 0.03
    assert np.abs(result.albedo - np.array(mirrored(layout, jnp.array(result.albedo))))[clear].mean() < 0.02
    # The lamp brightened the whole by half of its strength on average.
    assert np.abs(result.albedo / result.albedo[clear].mean(0) - bare / bare[clear].mean(0))[clear].mean() < 0.05


def test_violet_cheeks_are_no_pigment():
    """Both cheeks as too bright a photo shows them: about half of that tint is left, and all of it in the photo's."""
    head, layout = open_head()
    codes = made_up_codes(head, 0.0)
    place = np.array(render.interpolate(layout.fragments, head.template, head.faces))
    away = np.linalg.norm(np.abs(place[..., :2]) - [0.045, 0.035], axis=-1)
    cheeks = np.exp(-((away / 0.02) ** 2))[..., None] * (place[..., 2:] > 0)
    violet = np.array([0.95, 0.85, 1.15])
    bare = model_albedo(head, codes)
    tinted = np.clip(bare * (1 + cheeks * (violet - 1)), 0, 1).astype(np.float32)
    result = unwrap(head, layout, open_surface(), codes, _decoded(head, codes), _fine_photo(head, codes, tinted))
    clear = (result.visible > 0.9) & (np.array(layout.brows_eyes) < 0.1)
    middle, rest = clear & (cheeks[..., 0] > 0.8), clear & (cheeks[..., 0] < 0.1)
    assert middle.sum() > 300 and rest.sum() > 300

    def tint(colour: np.ndarray) -> float:
        """Of the cheeks beside the rest of the face, as a log ratio."""
        there, elsewhere = (np.log(colour[where].mean(0) / bare[where].mean(0)) for where in (middle, rest))
        return float(np.linalg.norm((there - elsewhere) - (there - elsewhere).mean()))

    assert tint(tinted) > 0.18
    assert tint(result.albedo) < 0.11
    assert tint(result.lit / _lit(head, layout, codes, np.ones_like(bare))) > 0.15


@pytest.mark.slow
def test_large_photos_give_large_textures():
    """Stripes a texel and a half of 512 apart come back at 1,024, on skin that was seen, better than at 512."""
    assert [texture_size(side) for side in (100, 640, 641, 1280, 1281, 9999)] == [512, 512, 1024, 1024, 2048, 2048]
    head, layout = open_head()
    codes = made_up_codes(head, 0.0)
    stripes = np.indices((2 * SIZE, 2 * SIZE))[0] % 3 == 0
    base = model_albedo(head, codes, 2 * SIZE)
    truth = np.clip(base * (1 + 0.15 * (2 * stripes - 1))[..., None], 0, 1).astype(np.float32)
    large = np.asarray(_photo_of(head, codes, jnp.array(truth), 2048)).reshape(1024, 2, 1024, 2, 3).mean((1, 3))
    small = large.reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3))
    seen = observed(head, layout, codes, _decoded(head, codes), jnp.array(small))
    texture = completed(layout, open_surface(), seen)
    albedo, lit = refined(texture, np.asarray(seen.place), np.asarray(layout.nearest), small, large)
    assert albedo.shape == lit.shape == (1024, 1024, 3) and albedo.dtype == np.uint8
    clear = np.repeat(np.repeat((texture.visible > 0.9) & (np.array(layout.middle) > 0.9), 2, 0), 2, 1)
    coarse = np.repeat(np.repeat(texture.albedo, 2, 0), 2, 1)

    def contrast(image):
        """Of the bright to the dark stripes."""
        return image[clear & stripes].mean() / image[clear & ~stripes].mean()

    assert clear.sum() > 5000
    assert contrast(albedo) - 1 > 1.5 * (contrast(coarse) - 1) and contrast(albedo) > 1.1
    assert jumps(head, albedo / np.float32(255)).max() <= 3
