"""Open3D's RaycastingScene (Embree): one ray per pixel."""

import numpy as np
import open3d as o3d
from job import START, Prepared, rays, run


def prepare(vertices, faces, size):
    origins, direction = rays(size)
    beams = o3d.core.Tensor(np.concatenate([origins, np.broadcast_to(direction, origins.shape)], -1))
    corners = o3d.core.Tensor(faces.astype(np.uint32))

    def forward():
        images = []
        for points in vertices:
            scene = o3d.t.geometry.RaycastingScene()
            scene.add_triangles(o3d.core.Tensor(np.ascontiguousarray(points)), corners)
            images.append(scene.cast_rays(beams)["t_hit"].numpy() - START)
        return np.stack(images)

    return Prepared("open3d", forward, None, "depth and face")


run(prepare)
