"""The files that a face can be saved as, and what may be asked of them."""

from importlib.util import find_spec

FACE_FORMATS = ("glb", "obj", "npz", "json", "png")
"""By their ending; kept apart so that a command can name them before the heavy modules that write them are loaded."""
MORE_FORMATS = ("usdz",)
"""Written where they are asked for by name: each needs a package that is not installed along."""
NAME_STYLES = ("default", "rpm")
"""Whose names meshes, materials and bones carry: ours, or those of Ready Player Me's avatars."""
NO_FORMATS = {
    "vrm": "a VRM must have hips, spine, arms and legs, which a head has not; the .glb carries the same units by name",
    "fbx": "no library that is kept up writes it; import the .glb into Blender and export from there",
}
"""What people ask for and why it is not written."""


def format_problem(name: str) -> str | None:
    """Why a face cannot be saved in a format, in one sentence, or None."""
    if name in NO_FORMATS:
        return f"format {name!r} is not written: {NO_FORMATS[name]}"
    if name not in (*FACE_FORMATS, *MORE_FORMATS):
        return f"format {name!r} is unknown; choose from {', '.join((*FACE_FORMATS, *MORE_FORMATS))}"
    if name == "usdz" and find_spec("pxr") is None:
        return "format 'usdz' needs a package that is not here: run `pip install usd-core`"
    return None
