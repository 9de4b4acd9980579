"""What a Pose is read from."""

from __future__ import annotations

from pathlib import Path

from posewright.pipeline.loading import files_among


def test_files_are_found_behind_the_name_of_their_layout(tmp_path: Path) -> None:
    """So that no result replaces them, and `--resume` notices another one."""
    file = tmp_path / "a.onnx"
    file.write_bytes(b"a")
    named = (f"rtmpose:{file}", file, str(file), "movenet-thunder", None, object())
    assert files_among(*named) == [file, file, file]
    assert files_among(f"C:{file}", tmp_path / "gone.onnx") == []
