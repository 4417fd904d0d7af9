"""Mitsuba 3 (LLVM, automatic differentiation): one ray per pixel, as its depth integrator casts them."""

import drjit as dr
import mitsuba as mi
import numpy as np
from job import START, Prepared, rays, run

mi.set_variant("llvm_ad_rgb")


def prepare(vertices, faces, size):
    mesh = mi.Mesh("mesh", vertices.shape[1], len(faces))
    params = mi.traverse(mesh)
    params["faces"] = mi.UInt(faces.astype(np.uint32).reshape(-1))
    params["vertex_positions"] = mi.Float(vertices[0].reshape(-1))
    params.update()
    scene = mi.load_dict({"type": "scene", "mesh": mesh})
    params = mi.traverse(scene)
    name = next(key for key in params.keys() if key.endswith("vertex_positions"))  # noqa: SIM118
    origins, direction = rays(size)
    beams = mi.Ray3f(
        mi.Point3f(*(mi.Float(axis.reshape(-1)) for axis in np.moveaxis(origins, -1, 0))),
        mi.Vector3f(*direction.tolist()),
    )

    def forward():
        images = []
        for points in vertices:
            params[name] = mi.Float(points.reshape(-1))
            params.update()
            images.append(np.array(scene.ray_intersect_preliminary(beams, coherent=True).t).reshape(size, size) - START)
        return np.stack(images)

    def gradient():
        slopes = []
        for points in vertices:
            moving = mi.Float(points.reshape(-1))
            dr.enable_grad(moving)
            params[name] = moving
            params.update()
            hit = scene.ray_intersect(beams)
            dr.backward(dr.sum(dr.select(hit.is_valid(), hit.t, 0)) / size**2)
            slopes.append(np.array(dr.grad(moving)).reshape(-1, 3))
        return np.stack(slopes)

    return Prepared("mitsuba", forward, gradient, "depth and face")


run(prepare)
