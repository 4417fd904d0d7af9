"""What a file may cost to read: bounds on steps, copies and promises, so that a small file stays a small problem."""

from emoca_jax.safe_files.refusal import Damage

MOST_OPERATIONS = 400_000
"""A checkpoint with optimiser states takes some 100,000 operations, a FLAME pickle 500; this many take about a
second."""
COPIES, COPIES_ALWAYS = 2, 64 << 20
"""Copies (Latin-1 text to bytes, bfloat16 to float32): as many bytes as the file has, twice, and a little."""
PROMISES, PROMISES_ALWAYS = 8, 256 << 20
"""Views share memory, but whoever uses them copies them: their sizes may add up to 8 times the file's."""


class Budget:
    """What one file may still cost. Errors: Damage where it is used up."""

    def __init__(self, file_bytes: int) -> None:
        self.operations = MOST_OPERATIONS
        self.copies = max(COPIES * file_bytes, COPIES_ALWAYS)
        self.promises = max(PROMISES * file_bytes, PROMISES_ALWAYS)

    def spend(self, operations: int) -> None:
        self.operations -= operations
        if self.operations < 0:
            raise Damage("it takes more steps than any model does")

    def copy(self, count: int) -> None:
        self.copies -= count
        if self.copies < 0:
            raise Damage("its contents are far larger than the file")

    def promise(self, count: int) -> None:
        self.promises -= count
        if self.promises < 0:
            raise Damage("its arrays claim to be far larger than the file")
