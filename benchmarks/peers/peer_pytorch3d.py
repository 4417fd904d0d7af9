"""pytorch3d's rasteriser, naive on a CPU."""

import numpy as np
import torch
from job import START, Prepared, run
from pytorch3d.renderer.mesh import rasterize_meshes
from pytorch3d.structures import Meshes


def prepare(vertices, faces, size):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Its x points left and its y up, and it drops what is not in front of z = 0.
    moved = torch.tensor(vertices * np.array([-1, -1, 1]) + np.array([0, 0, START]), dtype=torch.float32, device=device)
    corners = torch.tensor(faces, dtype=torch.int64, device=device).expand(len(vertices), -1, -1)

    def draw(points):
        return rasterize_meshes(Meshes(points, corners), image_size=size, blur_radius=0.0, faces_per_pixel=1)[1][..., 0]

    def forward():
        depth = draw(moved).cpu().numpy()
        return np.where(depth < 0, np.inf, depth - START)

    def gradient():
        points = moved.clone().requires_grad_()
        depth = draw(points)
        torch.where(depth < 0, 0.0, depth).mean().backward()
        assert points.grad is not None
        return points.grad.cpu().numpy()

    return Prepared("pytorch3d", forward, gradient, f"depth and face; {device}")


run(prepare)
