#!/usr/bin/env bash
# Main job on a fresh machine: a virtual environment, the package, one real photo.
# PYTHON chooses the interpreter (3.11 or newer), further arguments replace the photo.
set -euo pipefail
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --quiet --upgrade pip
.venv/bin/python -m pip install --quiet .
if [ "$#" -eq 0 ]; then set -- examples/astronaut.jpg --output output; fi
.venv/bin/emoca reconstruct "$@"
