"""Heads in Blender under other lamps than their photos': front, three quarters, side and from above, one row a head.

    emoca reconstruct examples/*.jpg --output out
    python scripts/draw_relit_heads.py out/*.glb --output docs/pictures/relit.png

Needs Blender as a Python module (`pip install "bpy>=5.0" pillow`, Python 3.11, not in the project's own environment).
What to look for: no light of the photo in the skin, no seam, no edge of a mask, nothing through lips and lids.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import bpy  # pyright: ignore[reportMissingImports]
from mathutils import Vector  # pyright: ignore[reportMissingImports]
from PIL import Image

TILE = (360, 420)
SAMPLES = 48
LAMPS = (((1.2, -1.0, 0.9), 72, 1.0), ((-1.4, -0.2, 0.3), 22, 1.5), ((0.3, 1.2, 0.8), 33, 0.8))
"""Towards each, in Blender's axes (a head looks along -y); watts and width in lengths of a head."""
LAMPS_AWAY, CAMERA_AWAY = 3.0, 3.3
"""Lengths of a head."""
SKY = ((0.86, 0.87, 0.9, 1), 0.45)
VIEWS = ((0, 0), (40, 5), (90, 0), (20, 50))
"""Degrees to the head's left and up."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", type=Path, nargs="+", help=".glb files of `emoca reconstruct`")
    parser.add_argument("--output", type=Path, default=Path("relit.png"))
    arguments = parser.parse_args()
    sheet = Image.new("RGB", (TILE[0] * len(VIEWS), TILE[1] * len(arguments.heads)))
    with tempfile.TemporaryDirectory() as folder:
        for row, head in enumerate(arguments.heads):
            centre, size = opened(head)
            for column, (yaw, up) in enumerate(VIEWS):
                picture = drawn(centre, size, yaw, up, Path(folder) / f"{row}_{column}.png")
                sheet.paste(picture, (column * TILE[0], row * TILE[1]))
    sheet.save(arguments.output)


def opened(head: Path) -> tuple[Vector, float]:
    """The head in a scene of its own, lit; its middle and its length."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(head))
    scene = bpy.context.scene
    # The importer adds a ball that bones are shown as.
    meshes = [thing for thing in scene.objects if thing.type == "MESH" and thing.find_armature()]
    points = [thing.matrix_world @ vertex.co for thing in meshes for vertex in thing.data.vertices]
    low, high = (Vector(find(point[k] for point in points) for k in range(3)) for find in (min, max))
    centre, size = (low + high) / 2, max(high - low)

    scene.render.engine, scene.cycles.samples = "CYCLES", SAMPLES
    scene.render.resolution_x, scene.render.resolution_y = TILE
    scene.view_settings.view_transform = "Standard"
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    colour, strength, *_ = scene.world.node_tree.nodes["Background"].inputs
    colour.default_value, strength.default_value = SKY
    for towards, watts, width in LAMPS:
        lamp = bpy.data.lights.new("lamp", "AREA")
        lamp.energy, lamp.size = watts * size**2, width * size
        placed(lamp, centre + LAMPS_AWAY * size * Vector(towards).normalized(), centre)
    camera = bpy.data.cameras.new("camera")
    camera.lens = 85
    scene.camera = placed(camera, centre, centre)
    return centre, size


def placed(data: bpy.types.ID, place: Vector, target: Vector) -> bpy.types.Object:
    """A lamp or camera that looks at the target."""
    thing = bpy.data.objects.new(data.name, data)
    bpy.context.scene.collection.objects.link(thing)
    thing.location = place
    thing.rotation_euler = (target - place).to_track_quat("-Z", "Y").to_euler()
    return thing


def drawn(centre: Vector, size: float, yaw: float, up: float, path: Path) -> Image.Image:
    scene, turn, rise = bpy.context.scene, math.radians(yaw), math.radians(up)
    away = Vector((math.sin(turn) * math.cos(rise), -math.cos(turn) * math.cos(rise), math.sin(rise)))
    scene.camera.location = centre + CAMERA_AWAY * size * away
    scene.camera.rotation_euler = (-away).to_track_quat("-Z", "Y").to_euler()
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return Image.open(path).convert("RGB")


if __name__ == "__main__":
    main()
