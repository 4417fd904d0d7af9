#!/usr/bin/env bash
# Compiles every program for an NVIDIA H100 and for four TPU v5e; neither needs to be there (docs/accelerators.md).
# Python 3.11 gets the jax of the lock, a newer one the newest jax: `PYTHON=python3.13 bash scripts/test_accelerators.sh`.
# Further arguments go to pytest; `-m accelerators` adds what is slow.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
venv=".venv-accelerators/$version"
locked=()
[ "$version" != 3.11 ] || locked=(--constraint requirements.txt --constraint requirements-accelerators.txt)
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade pip
"$venv/bin/python" -m pip install --quiet "${locked[@]}" --editable ".[train,accelerators]" pytest beartype
"$venv/bin/python" -m pip list | grep -E "^(jax|jaxlib|jax-cuda12-plugin|libtpu) "
# Without it the compilers would look for their devices.
export JAX_PLATFORMS=cpu
"$venv/bin/python" -m pytest tests/test_accelerators.py -m "accelerators and not slow" "$@"
