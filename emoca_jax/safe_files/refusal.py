"""How a file that cannot be read is refused: always an `InputError` that names the file and says what to do."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from emoca_jax.errors import InputError

DAMAGE = (
    ArithmeticError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What damaged bytes can set off below: sizes that do not fit, keys that are not there, text that is no text."""
QUOTED = 100
"""Names and reasons come from the file: a message shows no more of them than this many characters."""


class Damage(ValueError):
    """Bytes that contradict themselves; the message is a clause about the file ("it ends too early")."""


def quoted(text: object) -> str:
    """Text out of a file as a message may show it: printable, one line, at most 100 characters; of others the class."""
    if not isinstance(text, str):
        # Showing a structure that repeats itself could take for ever.
        return type(text).__name__
    shown = ascii(text[: 4 * QUOTED])[1:-1]
    return shown if len(shown) <= QUOTED else shown[:QUOTED] + "..."


def damaged(place: str, why: str) -> InputError:
    """The refusal of a file whose bytes make no sense; `why` is a clause without a full stop."""
    return InputError(f"{place} cannot be read: {why}. It is damaged or incomplete: get it again from its source.")


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn whatever damaged bytes set off inside the block into the `InputError` that names `place`."""
    try:
        yield
    except Damage as error:
        raise damaged(place, str(error)) from error
    except DAMAGE as error:
        raise damaged(place, f"its contents make no sense ({type(error).__name__}: {quoted(str(error))})") from error
