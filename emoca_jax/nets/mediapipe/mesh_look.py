"""One look of the face mesh network: where the points are, whether there is a face, and what its layers see."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from emoca_jax.files.kept_programs import kept
from emoca_jax.nets.mediapipe.face_mesh import FaceMesh, presence_score
from emoca_jax.nets.weights import Parameters
from emoca_jax.products import CUBLAS

MOUTH_LOOKS = 2
"""See FaceMesh.mouth_looks."""
REGIONS = ("lips", "right_eye", "left_eye")
PARTS = (
    ("lips", "lips"), ("right_eye", "right_eye"), ("right_eye", "right_iris"), ("left_eye", "left_eye"),
    ("left_eye", "left_iris"),
)  # fmt: skip
MESH_MAPS = {
    "mesh": (6, 128),
    **{f"{region}_fine": (8, 64) for region in REGIONS},
    **{region: (4, 128) for region in REGIONS},
    **{f"{branch}_{part}": (2, 32) for branch, part in PARTS},
}
"""Name of each map -> cells a side, channels: the trunk's, those of the attention branches' stems halfway and at their
ends, and those from which the branches tell their points."""
HALFWAY = "block4"
"""The stem's last block before it goes down to 4 x 4 cells (`REGION_STEM`)."""


class MeshLook(NamedTuple):
    """What the network with attention makes of crops."""

    points: Float[Array, "batch 478 3"]
    """In crop pixels (see `face_mesh`)."""
    presence: Float[Array, "batch"]
    """Probability that there is a face."""
    maps: dict[str, Float[Array, "batch _cells _cells _channels"]]
    """`MESH_MAPS`, of the last look of each branch."""


@kept(compiler_options=CUBLAS)
def look_at_faces(parameters: Parameters, crops: UInt8[Array, "batch 192 192 3"]) -> MeshLook:
    """Upright crops of faces, looked at. parameters: those that ship (`face_mesh_attention`)."""
    return mesh_look(parameters, crops.astype(jnp.float32) / 255)


def mesh_look(parameters: Parameters, crops: Float[Array, "batch 192 192 3"]) -> MeshLook:
    """The same inside another program, RGB in [0, 1]."""
    wanted = {("middle",): "mesh", **{(region, "stem"): region for region in REGIONS}}
    wanted |= {(region, "stem", HALFWAY): f"{region}_fine" for region in REGIONS}
    wanted |= {(branch, part, "last"): f"{branch}_{part}" for branch, part in PARTS}
    outputs: Any = FaceMesh(attention=True, mouth_looks=MOUTH_LOOKS).apply(
        parameters,
        crops,
        mutable=["intermediates"],
        capture_intermediates=lambda module, _: module.path in wanted,
    )
    (points, logits), captured = outputs
    maps = {}
    for path, name in wanted.items():
        found = captured["intermediates"]
        for module in path:
            found = found[module]
        maps[name] = found["__call__"][-1]
    return MeshLook(points, presence_score(logits), maps)
