"""nvdiffrast: CUDA only."""

import numpy as np
import nvdiffrast.torch as dr
import torch
from job import Prepared, run


def prepare(vertices, faces, size):
    if not torch.cuda.is_available():
        raise SystemExit("nvdiffrast needs a CUDA GPU")
    context = dr.RasterizeCudaContext()
    ones = np.ones_like(vertices[..., :1])
    clip = np.concatenate([vertices * np.array([1, 1, 1 / 16], np.float32), ones], -1)
    clip = torch.tensor(clip, dtype=torch.float32, device="cuda")
    corners = torch.tensor(faces, dtype=torch.int32, device="cuda")

    def draw(points):
        fragments, _ = dr.rasterize(context, points, corners, (size, size))
        depth, _ = dr.interpolate(points[..., 2:3].contiguous() * 16, fragments, corners)
        return depth[..., 0], fragments[..., 3] > 0

    def forward():
        depth, covered = draw(clip)
        return torch.where(covered, depth, torch.inf).cpu().numpy()

    def gradient():
        points = clip.clone().requires_grad_()
        draw(points)[0].mean().backward()
        assert points.grad is not None
        return points.grad.cpu().numpy()[..., :3]

    return Prepared("nvdiffrast", forward, gradient, "depth and face")


run(prepare)
