"""The files that a face can be saved as."""

FACE_FORMATS = ("glb", "obj", "npz", "json", "png")
"""By their ending; kept apart so that a command can name them before the heavy modules that write them are loaded."""
