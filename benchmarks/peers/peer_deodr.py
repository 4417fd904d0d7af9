"""deodr: C++, one thread, differentiable."""

import numpy as np
from deodr.differentiable_renderer import Scene2D, renderScene, renderSceneB
from job import START, Prepared, run


def prepare(vertices, faces, size):
    count = vertices.shape[1]
    faces = faces.astype(np.uint32)

    def scene(points):
        # Pixel centres at whole numbers; row and column grow like y and x.
        place = np.ascontiguousarray(((points[:, :2] + 1) * size / 2 - 0.5).astype(np.float64))
        depth = points[:, 2].astype(np.float64) + START  # none may be negative
        return Scene2D(
            faces=faces, faces_uv=faces, ij=place, depths=depth, colors=depth[:, None].copy(),
            textured=np.zeros(len(faces), bool), shaded=np.zeros(len(faces), bool), uv=np.zeros((count, 2)),
            shade=np.ones(count), edgeflags=np.zeros((len(faces), 3), bool), height=size, width=size, nb_colors=1,
            texture=np.zeros((1, 1, 1)), background_image=np.full((size, size, 1), 1e9), clockwise=False,
            backface_culling=True, strict_edge=False,
        )  # fmt: skip

    def draw(points):
        made, image, depth = scene(points), np.empty((size, size, 1)), np.empty((size, size))
        renderScene(made, 0.0, image, depth, check_valid=False)
        return made, image, depth

    def forward():
        return np.stack([draw(points)[1][..., 0] - START for points in vertices])

    def gradient():
        slopes = []
        for points in vertices:
            made, image, depth = draw(points)
            made.ij_b, made.colors_b = np.zeros((count, 2)), np.zeros((count, 1))
            made.uv_b, made.shade_b = np.zeros((count, 2)), np.zeros(count)
            made.texture_b = np.zeros((1, 1, 1))
            weight = np.where(image < 1e6, 1 / image.size, 0.0)
            renderSceneB(made, 0.0, image, depth, weight, check_valid=False)
            slopes.append(np.concatenate([made.ij_b * size / 2, made.colors_b], -1))
        return np.stack(slopes)

    return Prepared("deodr", forward, gradient, "depth; leaves out back faces, it has to")


run(prepare)
