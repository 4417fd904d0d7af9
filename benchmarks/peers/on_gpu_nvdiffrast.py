"""nvdiffrast's own drawings of a mesh in a GPU's memory: `python on_gpu_nvdiffrast.py MESH.npz [CHECKOUT]`.

For `rasterize_gpu.py`, which writes the file: `vertices` [batch, V, 3], `faces`, `uv`, `uv_faces`, `texture`, `sizes`,
`calls`, `runs`. A checkout is built first, in its own folder. Prints one line of JSON: seconds per batch by drawing and
size, and its version.
"""

import importlib.metadata
import json
import subprocess
import sys
import time

import numpy as np
import torch


def told_version(name):
    """nvdiffrast asks for its own, which a checkout that is not installed does not have."""
    try:
        return installed_version(name)
    except importlib.metadata.PackageNotFoundError:
        return "a checkout"


def timed(function, calls, runs):
    """Median seconds of one of so many calls in a row."""
    function()
    times = []
    for _ in range(runs):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            function()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / calls)
    return float(np.median(times))


def main():
    if not torch.cuda.is_available():
        raise SystemExit("nvdiffrast needs a CUDA GPU")
    if len(sys.argv) > 2:
        command = [sys.executable, "setup.py", "build_ext", "--inplace"]
        subprocess.run(command, cwd=sys.argv[2], check=True, stdout=subprocess.DEVNULL)
        sys.path.insert(0, sys.argv[2])
        importlib.metadata.version = told_version
    import nvdiffrast
    import nvdiffrast.torch as dr

    data = np.load(sys.argv[1])

    def on_gpu(name, kind):
        return torch.tensor(data[name].astype(kind), device="cuda")

    faces, uv_faces = on_gpu("faces", np.int32), on_gpu("uv_faces", np.int32)
    uv, texture = on_gpu("uv", np.float32), on_gpu("texture", np.float32)[None].contiguous().requires_grad_()
    points = on_gpu("vertices", np.float32) * torch.tensor([1, 1, 1 / 16], device="cuda")
    points = torch.cat([points, torch.ones_like(points[..., :1])], -1).contiguous().requires_grad_()
    context = dr.RasterizeCudaContext()
    found = {"version": told_version("nvdiffrast") or nvdiffrast.__version__}
    for size in data["sizes"].tolist():

        def textured(size=size):
            fragments = dr.rasterize(context, points, faces, (size, size))[0]
            place = dr.interpolate(uv[None], fragments, uv_faces)[0]
            return dr.texture(texture, place, filter_mode="linear"), fragments

        def surface(size=size):
            with torch.no_grad():
                dr.rasterize(context, points, faces, (size, size))

        def gradient(textured=textured):
            (textured()[0] ** 2).mean().backward()

        def antialiased(size=size):
            fragments = dr.rasterize(context, points, faces, (size, size))[0]
            inside = (fragments[..., 3:] > 0).float()
            (dr.antialias(inside, fragments, points, faces) ** 2).mean().backward()

        drawings = {
            "surface": surface,
            "textured, with gradients": gradient,
            "anti-aliased, with gradients": antialiased,
        }
        for name, draw in drawings.items():
            found[f"{name} {size}"] = timed(draw, int(data["calls"]), int(data["runs"]))
    print(json.dumps(found))


installed_version = importlib.metadata.version
main()
