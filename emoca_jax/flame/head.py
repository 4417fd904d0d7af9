"""A parametric head as a pytree: FLAME and the open head are the same type with other numbers."""

from __future__ import annotations

from flax import struct
from jaxtyping import Float, Int

from emoca_jax.arrays import AnyArray
from emoca_jax.render.neighbours import Edges


class LandmarkEmbedding(struct.PyTreeNode):
    """Points glued to a mesh: each is a face index and barycentric weights in it.

    face_index: int, [..., L]; barycentric: [..., L, 3], sums to 1.
    """

    face_index: Int[AnyArray, "*rows points"]
    barycentric: Float[AnyArray, "*rows points 3"]


TURN_KNOTS = (-75, -65, -55, -40, -20, 0, 20, 40, 55, 65, 75)
"""Degrees of yaw, positive to the subject's left, between which `LandmarkLag.turn` is interpolated. Beyond the last the
network finds too few drawn faces to say more."""


class LandmarkLag(struct.PyTreeNode):
    """How far from where they lie MediaPipe's network finds the points of `landmarks_mediapipe`, then the right and the
    left pupil: metres in the head's frame.

    The network knows faces at rest best: lids that close, lips that purse and brows that rise it follows part of the
    way. Linear in the expression code: `offset` at rest, `expression` more per unit. Measured on drawn faces
    (scripts/measure_landmark_lag.py).
    """

    offset: Float[AnyArray, "points 3"]
    expression: Float[AnyArray, "points 3 expressions"]
    turn: Float[AnyArray, "knots points 3"] | None = None
    """What is more at each of TURN_KNOTS, 0 from the front; metres in the world's frame, not the head's
    (scripts/measure_turned_lag.py)."""


class AlbedoModel(struct.PyTreeNode):
    """Linear albedo in uv space: mean + basis @ code, RGB in [0, 1], row 0 = top of the texture (v = 1).

    mean [H, W, 3]; basis [H, W, 3, K]; names: what each component does (static).
    """

    mean: Float[AnyArray, "height width 3"]
    basis: Float[AnyArray, "height width 3 components"]
    names: tuple[str, ...] = struct.field(pytree_node=False, default=())


class FaceHead(struct.PyTreeNode):
    """Everything that turns codes into a posed head; a pytree, so it is passed to jit, not baked into it.

    World frame: metres, x to the subject's left, y up, z to the viewer. Joints in order: global, neck, jaw, left eye,
    right eye (FLAME). Corner order of `faces` and `uv_faces` is counter-clockwise seen from outside.
    """

    template: Float[AnyArray, "vertices 3"]
    shape_dirs: Float[AnyArray, "vertices 3 shapes"]
    """Per unit standard deviation of the identity code."""
    expression_dirs: Float[AnyArray, "vertices 3 expressions"]
    pose_dirs: Float[AnyArray, "vertices 3 correctives"]
    """Pose correctives, 9 per non-root joint, or zero columns where a head has none."""
    joint_regressor: Float[AnyArray, "joints vertices"]
    skin_weights: Float[AnyArray, "vertices joints"]
    faces: Int[AnyArray, "faces 3"]
    uv: Float[AnyArray, "uvs 2"]
    uv_faces: Int[AnyArray, "faces 3"]
    face_part: Int[AnyArray, "faces"]
    """Index into `part_names` for each face."""
    landmarks_static: LandmarkEmbedding
    """51 inner landmarks of the 68 (17-67)."""
    landmarks_contour: LandmarkEmbedding
    """[79 yaw bins, 17] jaw line that follows the visible outline: rows 0-39 yaw 0..39 degrees, 40-78 -1..-39.

    Positive yaw turns the face to the subject's left (+x)."""
    landmarks_full: LandmarkEmbedding
    """The 68 fixed in 3D."""
    landmarks_mediapipe: LandmarkEmbedding
    """105 (FLAME) or 468 (open head) points of MediaPipe's mesh."""
    mediapipe_index: Int[AnyArray, "points"]
    """Which of the 478 MediaPipe points each row of `landmarks_mediapipe` is."""
    landmark_lag: LandmarkLag | None = None
    albedo: AlbedoModel | None = None
    mesh_edges: Edges | None = None
    """`render.mesh_edges(faces)`, which `load_head` computes once; where it is None every anti-aliased drawing does."""
    parents: tuple[int, ...] = struct.field(pytree_node=False, default=(-1, 0, 1, 1, 1))
    joint_names: tuple[str, ...] = struct.field(
        pytree_node=False, default=("global", "neck", "jaw", "left_eye", "right_eye")
    )
    expression_names: tuple[str, ...] = struct.field(pytree_node=False, default=())
    part_names: tuple[str, ...] = struct.field(pytree_node=False, default=("skin",))
    name: str = struct.field(pytree_node=False, default="")
    bounded_expression: bool = struct.field(pytree_node=False, default=False)
    """True where expression codes are unit activations in [0, 1] (ARKit), False where they are PCA coordinates."""
