"""The contract of `rasterize` is tested for each back end."""

import functools
from collections.abc import Callable

import pytest

from emoca_jax.render import rasterize as draw
from emoca_jax.render.backends.kernels import library


def backends() -> list:
    """Every back end, those that are missing here to be skipped with the reason."""
    return ["jax", pytest.param("native", marks=pytest.mark.skipif(bool(MISSING), reason=MISSING or "-"))]


MISSING = library.why_not("hard")


@pytest.fixture(scope="module", params=backends())
def rasterize(request: pytest.FixtureRequest) -> Callable:
    """`rasterize` by one of the back ends."""
    return functools.partial(draw, backend=request.param)
