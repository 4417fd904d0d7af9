"""Scripts that are run by their file name find the folders beside theirs."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUN = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("scripts", "benchmarks")
    for path in (ROOT / folder).glob("*.py")
    if f"python {path.relative_to(ROOT).as_posix()}" in path.read_text()
)


@pytest.mark.parametrize("script", RUN)
def test_what_is_beside_a_script_is_found_without_being_installed(script: str) -> None:
    """Python looks in the script's own folder and among what is installed: the package alone."""
    text = (ROOT / script).read_text()
    first = re.search(r"^(from|import) (data_pipelines|scripts|tests)\b", text, re.MULTILINE)
    assert first is None or "sys.path.insert(0, str(Path(__file__).resolve().parents[1]))" in text[: first.start()]


def test_a_teacher_that_is_none_is_told_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT has no wheel here")
    pytest.importorskip("grain", reason="grain has no wheel here")
    from scripts.train_unit_reader import main

    task = tmp_path / "face_landmarker.task"
    for content in (None, b"<html>", "zip"):
        if content == "zip":
            with zipfile.ZipFile(task, "w") as archive:
                archive.writestr("face_detector.tflite", b"")
        elif isinstance(content, bytes):
            task.write_bytes(content)
        assert main(["--teacher", str(task), "--data_dir", str(tmp_path)]) == 2
        assert "give MediaPipe's face_landmarker.task" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["face_landmarker.task"]
