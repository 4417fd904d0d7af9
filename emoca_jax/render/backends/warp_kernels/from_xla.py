"""What XLA calls, by whom it is traced."""

from __future__ import annotations

import inspect

import warp as wp

from emoca_jax.render.backends.warp_kernels import blend, blend_gradient, hard, outline, soft


def _callable(function, results):
    # Tracing needs no device: kernels are loaded by the first call on each. Checks around the function, as tests have
    # them, would hide its arguments.
    late = wp.JaxModulePreloadMode.NONE
    return wp.jax_callable(inspect.unwrap(function), num_outputs=results, module_preload_mode=late)


surface = _callable(hard.surface, 7)
surface_derivative = _callable(hard.surface_derivative, 1)
silhouette = _callable(soft.silhouette, 6)
silhouette_derivative = _callable(soft.silhouette_derivative, 4)
smooth = _callable(outline.smooth, 2)
smooth_to_image = _callable(outline.smooth_to_image, 1)
smooth_to_vertices = _callable(outline.smooth_to_vertices, 1)
blended = _callable(blend.blended, 2)
blended_derivative = _callable(blend_gradient.blended_derivative, 5)
