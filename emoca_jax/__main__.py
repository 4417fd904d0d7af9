"""Where the process `emoca` (or `python -m emoca_jax`) begins: ^C is guarded before what takes time is imported."""

import os
import signal
import sys


def main() -> int:
    """Run the command that this process was started for; returns its exit code."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)
    from emoca_jax.cli import main as run

    return run()


def _end(*_: object) -> None:
    """As `files.ending` does from when it stands: nothing is begun yet that would have to be put in order."""
    try:
        os.write(2, b"emoca: interrupted\n")
    finally:
        os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
