#!/usr/bin/env bash
# The tests on a fresh machine: locked dependencies, linter, type checker, import floors, pytest (and the Khronos glTF
# validator where npm is present). Further arguments go to pytest: `-m "not slow and not accelerators"` adds the thorough
# tests, as CI does; `-m slow` runs the slow checks.
set -euo pipefail
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --quiet --upgrade pip
.venv/bin/python -m pip install --quiet --no-compile -r requirements.txt
.venv/bin/python -m pip install --quiet --no-deps -e .
touch .venv/installed  # .ci/run waits for it
if command -v npm >/dev/null && [ ! -d node_modules/gltf-validator ]; then
  npm install --silent --no-save --no-audit --no-fund gltf-validator@2.0.0-dev.3.10 || echo "gltf-validator not installed: its test will skip"
fi
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/lint-imports
# The type checker has a core to itself for a minute: byte code is compiled beside it, then the tests begin; what it finds
# interrupts them, as ^C would.
told=$(mktemp)
check_types() {
  .venv/bin/pyright --pythonpath .venv/bin/python >"$told" 2>&1 || { pkill -INT -P $$ -f "pytest --numprocesses" || true; false; }
}
check_types &
checking=$!
trap 'pkill -P $checking 2>/dev/null || true; rm -f "$told"' EXIT
# Some packages bring files that are no Python.
.venv/bin/python -m compileall -q .venv/lib >/dev/null 2>&1 || true
tested=0
.venv/bin/python -m pytest --numprocesses auto --dist loadfile "$@" || tested=$?
wait $checking || { cat "$told"; exit 1; }
cat "$told"
exit $tested
