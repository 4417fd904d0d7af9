"""What `reconstruct` hands out: a face that can be saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from emoca_jax.export import save_face
from emoca_jax.faces import ReconstructedFace
from emoca_jax.files.face_formats import FACE_FORMATS


@dataclass(frozen=True, kw_only=True)
class FaceResult(ReconstructedFace):
    """A reconstructed face, and the way to its files."""

    def save(
        self,
        path: str | Path,
        formats: Iterable[str] = FACE_FORMATS,
        *,
        size: int = 384,
        names: str = "default",
        lod: bool = False,
    ) -> list[Path]:
        """Write every format beside each other; `path` has no extension: `out/anna_0` gives `out/anna_0.glb` and so on.

        size: side in pixels of one tile of the comparison picture; names: "default", or "rpm" for those of Ready Player
        Me's avatars in .glb and .usdz; lod: the .glb in two coarser levels of detail as well.
        Returns the files written.
        Errors: InputError where a file cannot be written or a format is unknown.
        """
        return save_face(self, path, formats, size=size, names=names, lod=lod)
