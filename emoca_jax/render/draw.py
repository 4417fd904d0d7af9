"""One word for how edges are drawn, so that a program can leave the choice to its configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Integer

from emoca_jax.arrays import checks_arguments, to_rank
from emoca_jax.errors import InputError
from emoca_jax.render.antialias import antialias
from emoca_jax.render.backends.visible_faces import Cull
from emoca_jax.render.neighbours import Edges
from emoca_jax.render.rasterize import Fragments, rasterize
from emoca_jax.render.soft import default_blur_radius, soft_fragments, soft_silhouette

EdgeStyle = Literal["hard", "antialias", "soft"]


class Drawing(struct.PyTreeNode):
    """An image over its background, how much of each pixel the mesh covers, and what the pixels see."""

    image: Float[Array, "*batch height width channels"]
    alpha: Float[Array, "*batch height width"]
    fragments: Fragments


@checks_arguments
def draw(
    shade: Callable[[Fragments], Float[Array, "*batch height width channels"]],
    vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"], size: tuple[int, int], *,
    edges: EdgeStyle = "hard", background: Float[Array, "*#pixels #channels"] | float = 0.0,
    cull: Cull = None, perspective: bool = False, near: float = 1e-3, mesh_edges: Edges | None = None,
    sigma: float = 1e-4, faces_per_pixel: int | None = 50,
) -> Drawing:  # fmt: skip
    """A mesh drawn with a shader of one's own and the edges of one's choice.

    shade: colours (any channels) from fragments, with `interpolate`, `sample_texture`, lights. vertices, faces, size,
    cull, perspective, near: as for `rasterize`. edges:
    - "hard": a pixel shows the face at its centre or the background; no gradient across silhouettes.
    - "antialias": silhouettes mixed by coverage (`antialias`), with gradients across them at little more cost;
      mesh_edges: `mesh_edges(faces)` computed once saves sorting them each time. In perspective edges that reach behind
      the camera stay hard.
    - "soft": coverage by `soft_silhouette` (sigma, faces_per_pixel), colour that of the nearest face within the blur
      (pytorch3d's sigmoid_alpha_blend): gradients from farther away, on a CPU at 30 to 100 times the cost of
      "antialias". It knows neither culling nor perspective.
    The result is differentiable in whatever `shade` uses, in the background and in the vertices, in reverse mode.
    """
    fragments = fragments_for_edges(
        vertices, faces, size, edges=edges, cull=cull, perspective=perspective, near=near, sigma=sigma
    )
    image, alpha = finish_edges(
        shade(fragments), fragments, vertices, faces, edges=edges, background=background, mesh_edges=mesh_edges,
        sigma=sigma, faces_per_pixel=faces_per_pixel,
    )  # fmt: skip
    return Drawing(image, alpha, fragments)


@checks_arguments
def fragments_for_edges(
    vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"], size: tuple[int, int], *,
    edges: EdgeStyle = "hard", cull: Cull = None, perspective: bool = False, near: float = 1e-3, sigma: float = 1e-4,
) -> Fragments:  # fmt: skip
    """First half of `draw`: what each pixel is coloured by, the face at its centre or, with edges "soft", the nearest
    within the blur. Differentiable in the vertices through barycentrics and depth. Errors: InputError as `draw`."""
    if edges not in get_args(EdgeStyle):
        raise InputError(f'edges is {edges!r}; choose "hard", "antialias" or "soft".')
    if edges != "soft":
        return rasterize(vertices, faces, size, cull=cull, perspective=perspective, near=near)
    if cull is not None or perspective:
        raise InputError('edges="soft" draws without culling and perspective; choose "antialias" for them.')
    layers = soft_fragments(vertices, faces, size, blur_radius=default_blur_radius(sigma), clip=True)
    return Fragments(layers.face_index[..., 0], layers.barycentric[..., 0, :], layers.depth[..., 0])


@checks_arguments
def finish_edges(
    colours: Float[Array, "*batch height width channels"], fragments: Fragments,
    vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"], *, edges: EdgeStyle = "hard",
    background: Float[Array, "*#pixels #channels"] | float = 0.0, mesh_edges: Edges | None = None,
    sigma: float = 1e-4, faces_per_pixel: int | None = 50,
) -> tuple[Float[Array, "*batch height width channels"], Float[Array, "*batch height width"]]:  # fmt: skip
    """Second half of `draw`: the image over its background and how much of each pixel is covered, from the colours of
    `fragments_for_edges`' pixels (any on the background). Differentiable as `draw`; hard coverage has no gradient."""
    covered = (fragments.face_index >= 0)[..., None]
    if edges == "soft":
        size = colours.shape[-3], colours.shape[-2]
        alpha = soft_silhouette(vertices, faces, size, sigma=sigma, faces_per_pixel=faces_per_pixel, clip=True)
        share, behind = alpha[..., None], to_rank(jnp.asarray(background), colours.ndim)
        return jnp.where(covered, colours, 0.0) * share + behind * (1 - share), alpha
    image, alpha = jnp.where(covered, colours, background), covered.astype(colours.dtype)
    if edges == "antialias":
        both = antialias(jnp.concatenate([image, alpha], axis=-1), fragments, vertices, faces, mesh_edges=mesh_edges)
        image, alpha = both[..., :-1], both[..., -1:]
    return image, alpha[..., 0]


@checks_arguments
def over(
    image: Float[Array, "*batch height width channels"],
    rendering: Float[Array, "*batch height width channels"],
    alpha: Float[Array, "*batch height width"],
) -> Float[Array, "*batch height width channels"]:
    """A rendering in its place in an image. rendering: black where nothing is covered (colour times coverage).

    Differentiable in all three.
    """
    return image * (1 - alpha[..., None]) + rendering
