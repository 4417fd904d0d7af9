"""What a function that checks its arguments takes, and what it says of the rest."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Integer

from emoca_jax.arrays import checks_arguments
from emoca_jax.errors import InputError


@checks_arguments
@functools.partial(jax.jit, static_argnames="size")
def drawn(
    vertices: Float[Array, "*batch vertices 3"],
    faces: Integer[Array, "faces 3"],
    size: tuple[int, int],
    *,
    light: Float[Array, "*#batch 3"] | float | None = None,
) -> tuple:
    return vertices, faces, size, light


VERTICES, FACES = jnp.zeros((2, 5, 3)), jnp.zeros((4, 3), int)
SIZES = "a tuple (height, width) of whole numbers from 1 to 32768"


def test_what_fits_goes_through_as_jax_has_it():
    host = np.zeros((5, 3)), np.zeros((4, 3), np.uint16)
    vertices, faces, size, light = checks_arguments(inside)(*host, (np.int64(3), 4), light=1)
    assert isinstance(vertices, jax.Array) and vertices.dtype == jnp.float32
    assert isinstance(faces, jax.Array) and size == (3, 4) and type(size[0]) is int and light == 1.0
    drawn(VERTICES, FACES, size=(3, 4), light=jnp.ones((1, 3)))
    mapped = jax.vmap(lambda own: drawn(VERTICES, own, (3, 4))[1])(jnp.zeros((6, 4, 3), int))
    assert mapped.shape == (6, 4, 3)


def inside(
    vertices: Float[Array, "*batch vertices 3"],
    faces: Integer[Array, "faces 3"],
    size: tuple[int, int],
    *,
    light: Float[Array, "*#batch 3"] | float | None = None,
) -> tuple:
    return vertices, faces, size, light


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vertices": VERTICES[..., :2]}, "vertices must be floats [..., vertices, 3], not float32 [2, 5, 2]."),
        ({"vertices": jnp.zeros((5, 3), int)}, "vertices must be floats [..., vertices, 3], not int32 [5, 3]."),
        ({"vertices": [[0.0, 0.0, 1.0]]}, "vertices must be floats [..., vertices, 3], not of type list."),
        ({"faces": jnp.zeros((4, 4), int)}, "faces must be integers [faces, 3], not int32 [4, 4]."),
        ({"faces": jnp.zeros((4, 3))}, "faces must be integers [faces, 3], not float32 [4, 3]."),
        ({"faces": FACES[None].repeat(2, 0)}, "faces must be integers [faces, 3], not int32 [2, 4, 3]."),
        ({"size": 32}, f"size must be {SIZES}, not 32."),
        ({"size": [32, 32]}, f"size must be {SIZES}, not [32, 32]."),
        ({"size": (4, 1 << 16)}, f"size must be {SIZES}, not (4, 65536)."),
        ({"size": (0, 4)}, f"size must be {SIZES}, not (0, 4)."),
        ({"size": (4.0, 4)}, f"size must be {SIZES}, not (4.0, 4)."),
        (
            {"light": jnp.ones((3, 3))},
            "light must be floats [..., 3] that go with the arguments before it, not float32 [3, 3].",
        ),
        ({"light": "bright"}, "light must be floats [..., 3], not of type str."),
    ],
)
def test_what_does_not_is_named_in_one_sentence(change: dict[str, Any], sentence: str):
    with pytest.raises(InputError) as error:
        drawn(**({"vertices": VERTICES, "faces": FACES, "size": (8, 8)} | change))
    assert str(error.value) == sentence
