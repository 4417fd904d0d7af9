"""One script per renderer, each run in a process, and where given an interpreter, of its own."""
