"""What of a made-up view of the head is taken for skin, and what of that for its own colour."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax import flame, render
from emoca_jax.texture.light import light_left
from emoca_jax.texture.painted import lip_paint
from emoca_jax.texture.pigment import pigment
from emoca_jax.texture.trust import TrustedSkin, trusted_skin
from tests.texture.test_unwrap import SIZE, open_head, open_surface

DARK = np.array([-0.8, -0.8, -0.8], np.float32)
"""Log ratio of hair to skin."""


@functools.cache
def maps() -> dict[str, np.ndarray]:
    """Of the layout; place in metres, and what a camera before the head sees."""
    head, layout = open_head()
    names = ("skin", "face", "beard", "chin", "middle", "above_brows", "brows_eyes", "lips")
    found = {name: np.asarray(getattr(layout, name)) for name in names}
    found["place"] = np.asarray(render.interpolate(layout.fragments, head.template, head.faces))
    found["sight"] = ((found["face"] > 0.3) * found["skin"]).astype(np.float32)
    found["bare"] = found["sight"] * (np.maximum(found["brows_eyes"], found["lips"]) < 0.1)
    return found


def near(x: float, y: float, radius: float) -> np.ndarray:
    """1 on the skin in sight within `radius` metres of a place in the front view."""
    place = maps()["place"]
    return ((np.hypot(place[..., 0] - x, place[..., 1] - y) < radius) & (maps()["sight"] > 0)).astype(np.float32)


def skin_of(ratio: np.ndarray, sight: np.ndarray | None = None) -> TrustedSkin:
    """Of a photo that differs so from the model, whose skin has one colour."""
    _, layout = open_head()
    rest = np.zeros((SIZE, SIZE, 3), np.float32)
    sight = maps()["sight"] if sight is None else sight
    return trusted_skin(open_surface(), layout, ratio.astype(np.float32), rest, rest + 0.5, sight)


def trust_of(where: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Trust where the photo differs from the model by `ratio` at these texels, and nowhere else."""
    return np.repeat(np.repeat(skin_of(where[..., None] * ratio).trust, 2, 0), 2, 1)


def hanging() -> np.ndarray:
    """Hair over both sides of the jaw, the chin bare."""
    return maps()["sight"] * (maps()["beard"] > 0.5) * (np.abs(maps()["place"][..., 0]) > 0.038)


def test_hair_over_the_jaw_is_no_beard_where_the_chin_is_bare():
    hair = hanging()
    trust = trust_of(hair, DARK)
    bare = (maps()["bare"] > 0) & (near(0.0, -0.085, 0.02) > 0)
    assert hair.sum() > 3000
    assert trust[hair > 0].mean() < 0.1 and trust[bare].mean() > 0.9


def test_a_beard_is_kept_in_full():
    """Chin, jaw and lip .6 darker: taken for skin, and as dark in the skin's own colour."""
    hair = maps()["sight"] * maps()["beard"] * (1 - maps()["lips"])
    skin = skin_of(np.repeat(np.float32(-0.6) * hair[..., None], 3, axis=-1))
    colour = open_surface().coarse.on(skin.smooth - light_left(open_surface(), skin)).mean(-1)
    inside = ((hair > 0.99) & (maps()["chin"] > 0.9))[::2, ::2]
    cheeks = ((maps()["bare"] > 0) & (maps()["beard"] == 0) & (maps()["middle"] > 0.9))[::2, ::2]
    assert inside.sum() > 200 and cheeks.sum() > 200
    assert skin.trust[inside].mean() > 0.9
    assert colour[inside].mean() - colour[cheeks].mean() == pytest.approx(-0.6, abs=0.06)


LIPSTICK, NAIL = np.array([-0.1, -1.2, -0.8], np.float32), np.array([0.45, 0.1, 0.35], np.float32)


def lips_and_below() -> tuple[np.ndarray, np.ndarray]:
    """Lips, and a finger's nail a centimetre under them."""
    lips = maps()["sight"] * (maps()["lips"] > 0.99)
    return lips, near(0.0, maps()["place"][..., 1][lips > 0].min() - 0.01, 0.004)


def test_a_nail_under_the_lips_is_no_lip_and_lipstick_is():
    lips, nail = lips_and_below()
    trust = trust_of(np.maximum(lips, nail), np.where(nail[..., None] > 0, NAIL, LIPSTICK))
    assert lips.sum() > 1500 and nail.sum() > 100
    assert trust[nail > 0].mean() < 0.2 and trust[lips > 0].mean() > 0.7


def test_lips_of_which_a_part_was_seen_have_its_colour():
    """And none of their own where nothing was."""
    lips, _ = lips_and_below()
    painted, hidden = lips[..., None] * LIPSTICK, (lips > 0) & (maps()["place"][..., 0] > 0)
    half, none = (skin_of(painted, np.where(off, 0, maps()["sight"])).lips for off in (hidden, maps()["lips"] > 0))
    np.testing.assert_allclose(half, LIPSTICK, atol=0.1)
    np.testing.assert_array_equal(none, 0)


def test_the_colour_of_lips_ends_where_the_models_lips_end():
    """A model whose upper lip is bare skin; one without any colour has lips as far as they may lie."""
    _, layout = open_head()
    lips, place, skin = maps()["lips"], maps()["place"], maps()["skin"] > 0
    lower = (lips > 0.5) & (place[..., 1] < np.median(place[..., 1][(lips > 0.99) & skin]))
    model = np.where(lower[..., None], [0.6, 0.25, 0.22], [0.6, 0.45, 0.35]).astype(np.float32)
    painted, grey = lip_paint(layout, model), lip_paint(layout, np.full_like(model, 0.5))
    assert (lower & skin & (lips > 0.99)).sum() > 500 and (~lower & skin & (lips > 0.99)).sum() > 500
    assert painted[lower & (lips > 0.99)].min() > 0.95 and painted[~lower].max() < 0.01
    assert grey[skin & (lips > 0.99)].min() > 0.95 and grey[lips <= 0.5].max() == 0


@pytest.mark.parametrize(("brightness", "low", "high"), [(-0.8, 0.7, 1.0), (0.8, 0.0, 0.2)])
def test_brows_are_darker_than_skin(brightness, low, high):
    """A pale streak over both is none."""
    brow = maps()["sight"] * (maps()["brows_eyes"] > 0.99) * (maps()["place"][..., 1] > 0.005)
    assert brow.sum() > 500
    assert low <= trust_of(brow, np.full(3, brightness, np.float32))[brow > 0].mean() <= high


def test_dark_spectacles_are_not_what_the_rest_is_compared_with():
    glasses = np.maximum(near(0.03, -0.015, 0.03), near(-0.03, -0.015, 0.03))
    assert (glasses * maps()["middle"]).sum() > 0.5 * (maps()["sight"] * maps()["middle"]).sum()
    trust = trust_of(glasses, 2 * DARK)
    rest = (maps()["bare"] > 0) & (glasses == 0) & (near(0.0, -0.085, 0.02) > 0)
    assert trust[glasses > 0].mean() < 0.05 and trust[rest].mean() > 0.85


@pytest.mark.parametrize(("tint", "low", "high"), [(0.15, 0.8, 1.0), (0.0, 0.8, 1.0), (-0.15, 0.0, 0.2)])
def test_shadows_of_skin_are_warm(tint, low, high):
    """A broad patch of one brightness is skin where it is redder than around it, and none where it is bluer."""
    patch = near(0.045, -0.03, 0.018)
    trust = trust_of(patch, np.array([-0.3 + tint, -0.3, -0.3 - tint], np.float32))
    assert low < trust[(patch > 0) & (near(0.045, -0.03, 0.014) > 0)].mean() <= high


WARM_SHADOW = np.array([-0.15, -0.3, -0.45], np.float32)


def test_a_fringe_is_no_skin_for_being_as_brown_as_its_shadow():
    fringe = near(0.0, 0.055, 0.025) * (maps()["above_brows"] > 0.9)
    assert fringe.sum() > 2000
    assert trust_of(fringe, WARM_SHADOW)[fringe > 0].mean() < 0.3


def test_a_rim_is_no_shadow_for_being_brown():
    """Two millimetres wide, between brow and nose; a patch as brown is skin."""
    rim = near(0.045, -0.03, 0.016) - near(0.045, -0.03, 0.014)
    assert rim.sum() > 500
    assert trust_of(rim, WARM_SHADOW)[rim > 0].mean() < 0.4


def test_where_nose_and_cheeks_are_covered_the_rest_is_compared_with_itself():
    """Cloth over both; the skin that shows is in a light that makes it half as bright again."""
    cloth = maps()["sight"] * (maps()["middle"] > 0)
    trust = trust_of(np.ones_like(cloth), cloth[..., None] * 2 * DARK + (1 - cloth[..., None]) * np.float32(0.4))
    rest = (maps()["bare"] > 0) & (cloth == 0) & (near(0.0, -0.085, 0.02) > 0)
    assert trust[cloth > 0].mean() < 0.1 and trust[rest].mean() > 0.85


def pigment_of(detail: np.ndarray) -> np.ndarray:
    _, layout = open_head()
    sight = jnp.asarray(maps()["sight"])
    return np.asarray(jax.jit(pigment)(layout, jnp.asarray(detail, jnp.float32), sight, jnp.zeros((SIZE, SIZE))))


def test_a_mole_stays_and_what_shines_goes():
    mole, shine = near(0.045, -0.03, 0.0025), near(-0.047, -0.055, 0.008)
    got = pigment_of(mole[..., None] * np.array([-0.35, -0.4, -0.45]) + shine[..., None] * np.array([0.15, 0.2, 0.25]))
    assert mole.sum() > 40 and shine.sum() > 400
    assert got[mole > 0].mean() == pytest.approx(-0.4, abs=0.06)
    spot = got[shine > 0].mean(0)
    assert 0 < spot.mean() < 0.065 and np.ptp(spot) < 0.06


def test_lips_may_be_redder_than_themselves_and_not_greyer():
    """A violet or blue sheen on them, and on the skin beside, is light; lipstick stays."""
    spot = near(0.0, -0.068, 0.006) * (maps()["lips"] > 0.99)
    assert spot.sum() > 50
    sheen, paint = np.array([-0.12, 0.02, 0.1]), np.array([0.12, -0.12, 0.0])
    for tint, low, high in ((sheen, 0.0, 0.6), (paint, 0.85, 1.01)):
        got = pigment_of(spot[..., None] * (tint - tint.mean()))[spot > 0]
        left = np.linalg.norm(got - got.mean(-1, keepdims=True), axis=-1).mean() / np.linalg.norm(tint - tint.mean())
        assert low < left < high


def test_a_strand_of_hair_over_a_cheek_goes_and_a_round_spot_as_wide_stays():
    place = maps()["place"]
    strand = near(0.045, -0.03, 0.018) * (np.abs(place[..., 0] - 0.045) < 0.001)
    spot = near(-0.045, -0.03, 0.0025)
    got = pigment_of(np.maximum(strand, spot)[..., None] * np.full(3, -0.4))
    assert strand.sum() > 60 and spot.sum() > 40
    assert got[strand > 0].mean() > 0.6 * -0.4 and got[spot > 0].mean() < 0.85 * -0.4


def test_broad_patches_on_one_side_are_light():
    """On both sides three tenths of them stay, as of all patches."""
    patch = near(0.045, -0.03, 0.012)
    got = pigment_of(patch[..., None] * np.full(3, -0.07))
    both = pigment_of(np.maximum(patch, near(-0.045, -0.03, 0.012))[..., None] * np.full(3, -0.07))
    inner = near(0.045, -0.03, 0.006) > 0
    assert both[inner].mean() == pytest.approx(0.3 * -0.07, rel=0.1)
    assert got[inner].mean() > 0.65 * 0.3 * -0.07


def test_blotches_of_half_a_centimetre_wane_on_both_sides_and_pores_stay():
    """In brightness and in tint."""
    place = maps()["place"]
    waves = np.sin(np.abs(place[..., 0]) * np.pi / 0.005) * np.sin(place[..., 1] * np.pi / 0.005)
    blotches = maps()["sight"] * waves
    pores = maps()["sight"] * np.random.default_rng(0).choice([-1.0, 1.0], (SIZE, SIZE))
    inner = near(0.045, -0.03, 0.012) > 0
    for tint in (np.array([0.06, 0.06, 0.06]), np.array([0.02, 0.0, -0.02])):
        got = pigment_of(blotches[..., None] * tint)
        assert np.abs(got[inner]).mean() < 0.7 * np.abs((blotches[..., None] * tint)[inner]).mean()
    got = pigment_of(pores[..., None] * np.full(3, 0.012))
    assert np.abs(got[inner]).mean() > 0.8 * 0.012


def test_what_lies_a_centimetre_above_a_brow_is_skin():
    """Blotches there wane as well; what is on the brow stays."""
    head, layout = open_head()
    up = maps()["place"][..., 1] - np.asarray(flame.landmarks68_fixed(head, head.template))[17:27, 1].max()
    place = maps()["place"]
    blotches = np.sin(place[..., 0] * np.pi / 0.004) * np.sin(place[..., 1] * np.pi / 0.004)
    got, fore = pigment_of(maps()["skin"][..., None] * blotches[..., None] * np.full(3, 0.06)), place[..., 2] > 0
    features = np.asarray(layout.features)
    above = fore & (up > 0.006) & (features > 0.05) & (features < 0.45) & (maps()["brows_eyes"] == features)
    on = fore & (maps()["brows_eyes"] > 0.99)
    assert above.sum() > 200
    assert np.abs(got[above]).mean() < 0.5 * 0.06 * np.abs(blotches[above]).mean()
    assert np.abs(got[on]).mean() > 0.6 * 0.06 * np.abs(blotches[on]).mean()


def test_relief_in_hard_light_is_calmed_and_soft_skin_is_not():
    rng = np.random.default_rng(0)
    noise = maps()["sight"] * np.repeat(np.repeat(rng.choice([-1.0, 1.0], (SIZE // 2, SIZE // 2)), 2, 0), 2, 1)
    inner = near(0.045, -0.03, 0.012) > 0
    hard, soft = (np.minimum(pigment_of((size * noise)[..., None] * np.ones(3)), 0)[inner] for size in (0.1, 0.01))
    assert np.abs(soft).sum() / (inner.sum() * 3) == pytest.approx(0.005, rel=0.25)
    assert np.abs(hard).mean() < 0.02
