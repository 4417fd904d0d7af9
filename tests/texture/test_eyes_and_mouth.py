"""What photos of known heads leave on eyeballs, lids and lips."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax import flame, render
from emoca_jax.fit.landmark_model import facing, landmark_model
from emoca_jax.fit.light import ambient_light
from emoca_jax.model import decode
from emoca_jax.texture.layout import texture_layout
from emoca_jax.texture.mouth import mouth_ratio, shown_teeth
from emoca_jax.texture.openings import ShownPoints, clear_of_openings, distance_outside, shifted
from emoca_jax.texture.surface import skin_surface
from emoca_jax.texture.unwrap import FLOOR, observed, unwrap
from tests.texture.test_unwrap import made_up_codes, open_surface

SIZE = 512
WIDTH = 1.0
"""Of the face, about, in the made-up photo's plane."""


@functools.cache
def open_head():
    head = flame.load_head("open")
    return head, texture_layout(head, size=SIZE)


def part(head, layout, name: str) -> np.ndarray:
    index = np.asarray(layout.fragments.face_index)
    return (index >= 0) & (np.asarray(head.face_part)[index] == head.part_names.index(name))


def codes_of(head, **units: float):
    strength = np.zeros(len(head.expression_names), np.float32)
    for name, value in units.items():
        strength[head.expression_names.index(name)] = value
    codes = made_up_codes(head, 0.0)
    plain = ambient_light().astype(jnp.float32)
    return codes.replace(expression=jnp.asarray(strength), light=plain)


@functools.cache
def decoder():
    return jax.jit(decode, static_argnums=2)


def points_of(head, decoded) -> ShownPoints:
    """As if the photo's landmarks were where the head's are."""
    fitted = decoded.landmarks_mediapipe[:, :2]
    irises = []
    template = np.asarray(head.template)
    balls = np.unique(np.asarray(head.faces)[np.asarray(head.face_part) == head.part_names.index("eyes")])
    for side in (-1, 1):
        ball = balls[side * template[balls, 0] > 0]
        polar = template[ball] - template[ball].mean(0)
        front = ball[np.argmax(polar[:, 2])]
        centre = np.asarray(decoded.image_vertices)[front, :2]
        # 11.7 mm across.
        radius = 0.00585 * float(made_up_codes(head, 0.0).camera[0])
        irises.append(centre + radius * np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]]))
    trust = jnp.ones(fitted.shape[0])
    return ShownPoints(fitted, fitted, trust, jnp.asarray(np.array(irises), jnp.float32), jnp.asarray(WIDTH))


def photo_and_texture(painted: np.ndarray, **units: float):
    """The albedo that comes back from the photo of a head with that texture, and the points used."""
    head, layout = open_head()
    codes = codes_of(head, **units)
    photo = decoder()(head, codes, (SIZE, SIZE), jnp.asarray(painted)).rendering
    decoded = decoder()(head, codes, (SIZE, SIZE))
    points = points_of(head, decoded)
    return (
        np.asarray(unwrap(head, layout, open_surface(), codes, decoded, photo, points=points).albedo),
        points,
        decoded,
    )


def model_texture(head, codes) -> np.ndarray:
    albedo = jax.image.resize(flame.albedo_map(head.albedo, codes.albedo), (SIZE, SIZE, 3), "linear")
    return np.clip(np.asarray(albedo), 0, 1).astype(np.float32)


@pytest.mark.thorough
@pytest.mark.parametrize("iris", [(0.35, 0.5, 0.62), (0.12, 0.08, 0.05)], ids=["blue", "dark"])
def test_irises_take_the_photos_colour_and_nothing_else(iris):
    """An eye with lashes drawn over it comes back without them, in its own colour."""
    head, layout = open_head()
    painted = model_texture(head, codes_of(head))
    eyes = part(head, layout, "eyes")
    coloured = np.asarray(layout.eye_maps.iris) > 0.9
    painted[coloured] = iris
    # A lash every few texels, dark.
    columns = np.indices(eyes.shape)[1]
    painted[eyes & (columns % 9 < 1)] = 0.02
    got, _, _ = photo_and_texture(painted)
    found = np.median(got[coloured], axis=0)
    # What the dark rings of pupil and limbus mix in; the model's own iris is .47 away from the blue one.
    np.testing.assert_allclose(found, iris, atol=0.15)
    white = np.asarray(layout.eye_maps.white) > 0.9
    assert np.quantile(got[white].mean(-1), 0.02) > 0.5 * np.median(got[white].mean(-1)), "no lash on the white"


@pytest.mark.thorough
def test_teeth_of_the_photo_are_not_painted_on_lips():
    """Lips that the fit has a little too high: without care the photo's teeth are what the lower lip gets."""
    head, layout = open_head()
    parted = {"mouthUpperUpLeft": 0.8, "mouthUpperUpRight": 0.8, "mouthLowerDownLeft": 0.8, "mouthLowerDownRight": 0.8}
    painted = model_texture(head, codes_of(head))
    teeth = part(head, layout, "teeth")
    painted[teeth] = (0.85, 0.83, 0.78)
    true = codes_of(head, **parted)
    photo = decoder()(head, true, (SIZE, SIZE), jnp.asarray(painted)).rendering
    shown = points_of(head, decoder()(head, true, (SIZE, SIZE)))
    fitted = decoder()(head, codes_of(head), (SIZE, SIZE))
    points = shown.replace(fitted=fitted.landmarks_mediapipe[:, :2])
    lips = near_lips(head, layout)
    surface, codes = open_surface(), codes_of(head)
    blind, careful = (
        np.asarray(unwrap(head, layout, surface, codes, fitted, photo, points=given).lit)[lips]
        for given in (None, points)
    )

    def off(found: np.ndarray) -> float:
        return float(np.quantile(np.abs(found - painted[lips]).max(-1), 0.97))

    assert off(blind) > 0.12, "the photo does show teeth there"
    assert off(careful) < 0.02


def near_lips(head, layout) -> np.ndarray:
    """Texels of skin within 4 mm of the line where the lips part."""
    place = np.asarray(render.interpolate(layout.fragments, head.template, head.faces))
    line = np.asarray(flame.landmarks_mediapipe(head, head.template))[np.asarray(layout.openings.lips)]
    skin = part(head, layout, "skin")
    gap = np.full(skin.shape, np.inf)
    gap[skin] = np.linalg.norm(place[skin][:, None] - line[None], axis=-1).min(1)
    return gap < 0.004


@pytest.mark.parametrize(
    ("shown", "brightness"), [((0.0, 0.0), -0.1), ((-0.4, 0.5), -0.4), ((0.5, 0.5), 0.12), (None, -0.8)]
)
def test_the_dark_behind_lips_says_little_of_teeth(shown, brightness):
    """Where landmarks tell that none are between the photo's lips; without these, what lies there is all there is."""
    _, layout = open_head()
    dark = jnp.full((*layout.teeth.shape, 3), -0.8)
    told = None if shown is None else (jnp.asarray(shown[0]), jnp.asarray(shown[1]))
    got = mouth_ratio(dark, jnp.ones_like(layout.teeth), layout.teeth, layout.lining, shown=told)
    assert float(got[np.asarray(layout.teeth) > 0.99].mean()) == pytest.approx(brightness, abs=0.01)


def test_teeth_are_as_bright_as_the_photos():
    """A mouth in the dark has no bright bar; front teeth keep the model's colour where the photo shows such teeth."""
    head, layout = open_head()
    parted = {"mouthUpperUpLeft": 0.8, "mouthUpperUpRight": 0.8, "mouthLowerDownLeft": 0.8, "mouthLowerDownRight": 0.8}
    model = model_texture(head, codes_of(head))
    teeth = part(head, layout, "teeth")
    for share in (1.0, 0.5):
        painted = model.copy()
        painted[teeth] *= share
        got, _, _ = photo_and_texture(painted, **parted)
        assert got[teeth].mean() / model[teeth].mean() == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize("cavity", [(0.01, 0.01, 0.01), (0.08, 0.03, 0.03)])
def test_a_dark_mouth_is_no_dark_teeth(cavity):
    """White teeth below an upper lip, and behind them a mouth that is black, or dark red: the same teeth."""
    head, layout = open_head()
    rows, side = layout.openings, 256
    assert rows is not None
    half = len(rows.lips) // 2
    turn = np.pi - np.pi * np.arange(2 * half) / half
    points = np.zeros((len(head.mediapipe_index), 2), np.float32)
    for ring, (wide, high) in ((rows.lips, (0.3, 0.12)), (rows.mouth, (0.4, 0.25))):
        points[np.asarray(ring)] = np.stack([wide * np.cos(turn), -high * np.sin(turn)], 1)
    y, x = (2 * np.mgrid[:side, :side] + 1) / side - 1
    image = np.full((side, side, 3), (0.6, 0.42, 0.36), np.float32)
    image[(x / 0.4) ** 2 + (y / 0.25) ** 2 < 1] = (0.5, 0.28, 0.26)
    inside = (x / 0.3) ** 2 + (y / 0.12) ** 2 < 1
    image[inside] = cavity
    model = jnp.asarray(model_texture(head, codes_of(head)))
    teeth = np.asarray(model)[np.asarray(layout.teeth) > 0.99]
    image[inside & (y < -0.024)] = teeth[teeth.mean(1).argmax()]
    where = ShownPoints(
        fitted=jnp.asarray(points), shown=jnp.asarray(points), trust=jnp.ones(len(points)),
        irises=jnp.zeros((2, 5, 2)), width=jnp.asarray(WIDTH),
    )  # fmt: skip
    told, share = shown_teeth(jnp.asarray(image), where, rows, jnp.ones(3), jnp.asarray(layout.teeth), model, FLOOR)
    assert 0.2 < share < 0.6 and abs(told) < 0.25


@pytest.mark.thorough
def test_skin_is_clear_of_openings_and_the_shift_follows_landmarks():
    head, layout = open_head()
    decoded = decoder()(head, codes_of(head), (SIZE, SIZE))
    points = points_of(head, decoded)
    grid = np.stack(np.meshgrid(*[(2 * np.arange(64) + 1) / 64 - 1] * 2), -1).astype(np.float32)
    place = jnp.asarray(np.concatenate([grid, np.zeros((64, 64, 1), np.float32)], -1))
    clear = np.asarray(clear_of_openings(place, jnp.full((SIZE, SIZE, 3), 0.5), points, layout.openings))
    assert layout.openings is not None
    for ring in layout.openings.eyes:
        inside = np.asarray(distance_outside(jnp.asarray(grid), points.shown[ring])) < -0.01
        assert inside.sum() > 3
        assert clear[inside].max() < 0.05
    assert clear[8:12, 30:34].min() == 1, "the forehead is skin"
    moved = points.replace(shown=points.shown + jnp.array([[0.01, -0.02]]))
    lips = points.fitted[layout.openings.lips]
    at = jnp.concatenate([lips, jnp.zeros((len(lips), 1))], -1)[None]
    shift = np.asarray(shifted(at, moved, layout.openings) - at)[0, :, :2]
    np.testing.assert_allclose(shift, np.tile([0.01, -0.02], (len(lips), 1)), atol=3e-3)


def test_distance_outside_against_a_square():
    square = jnp.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])
    places = jnp.array([[1.0, 1], [1, 1.5], [3, 1], [3, 3], [-1, -1]])
    expected = [-1, -0.5, 1, np.sqrt(2), np.sqrt(2)]
    np.testing.assert_allclose(distance_outside(places, square), expected, atol=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize("albedo", [True, False], ids=["albedo", "no albedo"])
def test_eyeballs_that_are_pieces_of_the_skin_are_the_photos(albedo: bool):
    """As FLAME's are, which has one part: a blue iris and a white come back, not the colour of cheeks."""
    head, layout = open_head()
    codes = codes_of(head)
    painted = model_texture(head, codes)
    iris, white = (np.asarray(area) > 0.9 for area in (layout.eye_maps.iris, layout.eye_maps.white))
    painted[iris] = (0.3, 0.5, 0.7)
    photo = decoder()(head, codes, (SIZE, SIZE), jnp.asarray(painted)).rendering
    one = head.replace(face_part=jnp.zeros_like(head.face_part), part_names=("skin",))
    if not albedo:
        one, codes = one.replace(albedo=None), codes.replace(albedo=jnp.zeros(0))
    of_one = texture_layout(one, size=SIZE)
    decoded = decoder()(one, codes, (SIZE, SIZE))
    points = points_of(head, decoder()(head, codes_of(head), (SIZE, SIZE)))
    got = unwrap(one, of_one, skin_surface(one, of_one), codes, decoded, photo, points=points)
    for area in (iris, white):
        seen = area & (got.visible > 0.9)
        assert seen.sum() > 40
        np.testing.assert_allclose(np.median(got.albedo[seen], 0), np.median(painted[seen], 0), atol=0.1)


def test_the_farther_eye_of_a_turned_head_does_not_colour_the_irises():
    """Its points are guessed behind the nose, where the photo shows skin."""
    head, layout = open_head()
    codes = codes_of(head)
    painted = model_texture(head, codes)
    iris = np.asarray(layout.eye_maps.iris) > 0.9
    painted[iris] = (0.3, 0.5, 0.7)
    turned = codes.replace(pose=codes.pose.at[0, 1].set(0.85))
    decoded = decoder()(head, turned, (SIZE, SIZE))
    photo = decoder()(head, turned, (SIZE, SIZE), jnp.asarray(painted)).rendering
    points = points_of(head, decoded)
    trust = facing(landmark_model(head), flame.rotation_matrix(turned.pose[0]))[: len(points.trust)]
    got = unwrap(head, layout, open_surface(), turned, decoded, photo, points=points.replace(trust=trust))
    np.testing.assert_allclose(np.median(got.albedo[iris], 0), (0.3, 0.5, 0.7), atol=0.15)


@pytest.mark.thorough
def test_what_the_crop_shows_beyond_the_photo_is_not_seen():
    head, layout = open_head()
    codes = codes_of(head)
    decoded = decoder()(head, codes, (SIZE, SIZE))
    frame = jnp.array([[-1.0, -1.0], [1.0, 0.5]])
    seen = observed(head, layout, codes, decoded, jnp.full((SIZE, SIZE, 3), 0.5), frame=frame)
    below = np.asarray(seen.place)[..., 1] > 0.5
    whole = observed(head, layout, codes, decoded, jnp.full((SIZE, SIZE, 3), 0.5))
    assert (np.asarray(whole.sight)[below] > 0.9).sum() > 1000 and not np.asarray(seen.sight)[below].any()
    np.testing.assert_array_equal(np.asarray(seen.sight)[~below], np.asarray(whole.sight)[~below])
