"""The `emoca` command: parses, calls, prints. Exit codes: 0 all done, 1 some inputs failed, 2 nothing could be done."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from emoca_jax.errors import InputError, surprise

# Nothing that takes time, before ^C is guarded.
from emoca_jax.files.ending import end_on_signals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

INTERRUPTED = 130
"""What shells report for a process ended by ^C."""
READER_GONE = 141
"""What shells report for a process whose output nobody reads any more."""

EPILOG = """examples:
  emoca reconstruct photo.jpg
  emoca reconstruct holiday/ "cast/*.png" --output out --format glb,json
  emoca convert assets/ --output model

exit code: 0 all done, 1 some inputs failed (each with a sentence why), 2 nothing could be done, 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and never raises for bad input or ^C.

    arguments: None for those of this process, which ^C, SIGTERM and SIGHUP then end at once (see `files.ending`).
    """
    if arguments is None:
        end_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows its number.
            stream.reconfigure(errors="backslashreplace")
    try:
        parser = _parser()
        given = sys.argv[1:] if arguments is None else arguments
        if any(map(_is_empty, given)):
            # As a path it would be the folder that the user happens to be in.
            raise InputError("one of the arguments is empty; give a name (is a variable of the shell not set?)")
        for name in filter(_is_file_like_an_option, [] if "--" in given else given):
            raise InputError(f"{name}: is taken for an option, as it begins with a dash; write ./{name}")
        parsed = parser.parse_args(arguments)
        if parsed.command is None:
            parser.print_help(sys.stderr)
            return 2
        return parsed.run(parsed)
    except InputError as error:
        print(f"emoca: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("emoca: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`emoca fetch-help | head`); what is still in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except OSError as error:
        print(f"emoca: {surprise(error)}", file=sys.stderr)
        return 2


def _is_empty(argument: str) -> bool:
    """Whether nothing is given, alone or for an option."""
    return not argument or (argument.startswith("--") and argument.endswith("="))


def _is_file_like_an_option(argument: str) -> bool:
    """Whether it is a file's name such as -1.jpg, which `*.jpg` may give; no option has a dot before an = sign."""
    return argument.startswith("-") and "." in argument.partition("=")[0] and os.path.lexists(argument)


def _parser() -> argparse.ArgumentParser:
    import argparse

    from emoca_jax.commands import convert, emotion, fetch_help, info, reconstruct, render
    from emoca_jax.files.version import package_version

    parser = argparse.ArgumentParser(
        prog="emoca",
        description="One photo of a face in, an animatable 3D head that feels what the person feels out.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"emoca_jax {package_version()}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    reconstruct.add_parser(commands)
    emotion.add_parser(commands)
    render.add_parser(commands)
    convert.add_parser(commands)
    info.add_parser(commands)
    fetch_help.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
