"""pyrender on trimesh: OpenGL, which without a GPU is Mesa's llvmpipe on all cores."""

import os

os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
import numpy as np
import pyrender
from job import START, Prepared, run

if not hasattr(np, "infty"):  # pyrender 0.1.45 is older than NumPy 2
    setattr(np, "infty", np.inf)  # noqa: B010


def prepare(vertices, faces, size):
    renderer = pyrender.OffscreenRenderer(size, size)
    camera = pyrender.OrthographicCamera(1.0, 1.0, znear=0.1, zfar=4 * START)
    pose = np.eye(4)
    pose[2, 3] = START

    def forward():
        images = []
        for points in vertices:
            scene = pyrender.Scene()
            scene.add(camera, pose=pose)
            whole = pyrender.Primitive(positions=points * np.array([1, -1, -1], np.float32), indices=faces)
            node = scene.add(pyrender.Mesh([whole]))
            depth = renderer.render(scene, flags=pyrender.RenderFlags.DEPTH_ONLY)
            images.append(np.where(depth > 0, depth - START, np.inf))
            scene.remove_node(node)
        return np.stack(images)

    return Prepared("pyrender", forward, None, "depth")


run(prepare)
