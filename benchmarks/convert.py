"""Time and memory of `emoca convert` on a folder of official files: python benchmarks/convert.py ASSETS"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    assets = Path(sys.argv[1])
    size = sum(path.stat().st_size for path in assets.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "emoca_jax", "convert", str(assets), "--output", f"{folder}/model"]
        code = subprocess.run(command, check=False).returncode
        seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Linux counts kibibytes, macOS bytes.
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cpu = used.ru_utime + used.ru_stime
    print(f"{size / 1e9:.2f} GB in {seconds:.1f} s ({cpu:.1f} s of CPU), peak memory {peak / 1e9:.2f} GB")
    return code


if __name__ == "__main__":
    sys.exit(main())
