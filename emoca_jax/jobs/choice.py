"""Which model goes from photo to head in which way: what can be refused before anything is loaded, jax included."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from emoca_jax.errors import InputError, checked_path

OPEN_MODEL = "open"
METHODS = ("fit", "landmarks", "encoder")
Method = Literal["fit", "landmarks", "encoder"]
NO_ENCODER = (
    "The encoder that ships is of the head that ships: leave out `head` (--head), or choose method fit or landmarks."
)
NOT_OFFICIAL = "The open head has no official counterpart: `official` (--official) needs a converted model."
NO_FIT = (
    "One identity of several photos is fitted, by the open model with method fit or landmarks; an encoder tells every "
    "photo's by itself."
)


def check_choice(
    model: str | Path,
    *,
    head: str | Path | None = None,
    official: bool = False,
    method: str | None = None,
    one_person: bool = False,
) -> None:
    """Whether these go together, as far as names tell. model, head, official: as `load_model` takes them; method: as
    `reconstruct`; one_person: whether several photos are to get one identity.

    Errors: InputError where they do not.
    """
    named = checked_path("name", model)
    if one_person and (named != OPEN_MODEL or method == "encoder"):
        raise InputError(NO_FIT)
    if named != OPEN_MODEL:
        if head is not None:
            raise InputError("A converted model brings its own head: leave out `head` (--head), or the model.")
        if method not in (None, "encoder"):
            raise InputError(only_encodes(method))
        return
    if official:
        raise InputError(NOT_OFFICIAL)
    if method == "encoder" and head not in (None, OPEN_MODEL):
        raise InputError(NO_ENCODER)


def check_drawn(model: str | Path, *, drawn: bool) -> None:
    """Whether a model's networks can read renderings. Errors: InputError where they cannot."""
    if checked_path("name", model) != OPEN_MODEL and drawn:
        raise InputError(f"--drawn picks one of the networks that ship: leave it out, or the model {model}.")


def only_encodes(method: str) -> str:
    """A sentence for whoever wants a fit of a model that encodes."""
    return f"Method {method!r} is of the open model; this one encodes: leave `method` (--method) out."
