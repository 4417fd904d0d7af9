"""The contract of `rasterize` is tested for each back end."""

import functools
from collections.abc import Callable, Iterator

import jax
import pytest

from emoca_jax.render import rasterize as draw
from emoca_jax.render.backends import choice
from emoca_jax.render.backends.kernels import library


def backends(kernels: library.Library) -> list:
    """Every back end, those that are missing here to be skipped with the reason."""
    missing = library.why_not(kernels)
    return ["jax", pytest.param("native", marks=pytest.mark.skipif(bool(missing), reason=missing or "-"))]


MISSING = library.why_not("hard")


@pytest.fixture(scope="module", params=backends("hard"))
def rasterize(request: pytest.FixtureRequest) -> Callable:
    """`rasterize` by one of the back ends."""
    return functools.partial(draw, backend=request.param)


@pytest.fixture(scope="module", params=backends("colour"))
def each_back_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """The whole file by every back end: what names none takes this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(choice.VARIABLE, request.param)
        jax.clear_caches()  # what has been traced keeps the back end that it was traced with
        yield
    jax.clear_caches()
