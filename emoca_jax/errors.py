"""The one exception that stands for bad input: its message is a sentence that says what to do."""


class InputError(Exception):
    """Input that cannot be used. The command line prints the message as it is and exits with code 2."""
