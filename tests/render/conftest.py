"""The contract of `rasterize` is tested for each back end."""

import functools
from collections.abc import Callable, Iterator

import jax
import pytest

from emoca_jax.render import rasterize as draw
from emoca_jax.render.backends import choice
from emoca_jax.render.backends.native import library
from emoca_jax.render.backends.warp_kernels import presence


def unless(missing: str, name: str):
    """A back end, to be skipped with the reason where it is missing."""
    return pytest.param(name, marks=pytest.mark.skipif(bool(missing), reason=missing or "-"))


def backends(kernels: library.Library) -> list:
    """Every back end that draws such."""
    drawing = ["jax", unless(library.why_not(kernels), "native")]
    return [*drawing, unless(NO_WARP, "warp")]


MISSING = library.why_not("hard")
NO_WARP = presence.why_not()


@pytest.fixture(scope="module", params=backends("hard"))
def rasterize(request: pytest.FixtureRequest) -> Callable:
    """`rasterize` by one of the back ends."""
    return functools.partial(draw, backend=request.param)


@pytest.fixture(scope="module", params=backends("outline"))
def each_back_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """The whole file by every back end: what names none takes this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(choice.VARIABLE, request.param)
        jax.clear_caches()  # what has been traced keeps the back end that it was traced with
        yield
    jax.clear_caches()
