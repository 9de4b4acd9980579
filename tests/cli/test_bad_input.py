"""Bad input: one clear line, a documented exit code, and everything good still written."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.helpers.runs import lines, predict

BLANK = np.full((64, 48, 3), 127, np.uint8)


def picture(path: Path, image: np.ndarray = BLANK) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only complaint on stderr."""
    err = [x for x in capsys.readouterr().err.splitlines() if x.startswith("posewright:")]
    assert len(err) == 1, err
    assert "unexpected" not in err[0]
    return err[0]


def png_bomb(path: Path, side: int) -> Path:
    """A valid grey PNG of side x side black pixels, a few hundred kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    packer, rows = zlib.compressobj(9), []
    for _ in range(side):
        rows.append(packer.compress(bytes(side + 1)))
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", b"".join(rows) + packer.flush())
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))
    return path


def test_nobody_in_the_picture(tmp_path: Path) -> None:
    path = picture(tmp_path / "grey.png")
    formats = "coco,alphapose,openpose,csv,parquet,jsonl,images,video"
    assert predict(tmp_path / "out", path, "--save", formats) == 0
    assert lines(tmp_path / "out")[0]["people"] == []
    assert json.loads((tmp_path / "out" / "coco-results.json").read_text()) == []
    assert json.loads((tmp_path / "out" / "alphapose-results.json").read_text()) == []


@pytest.mark.parametrize("name", ["nowhere.jpg", "empty"])
def test_nothing_done_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert predict(tmp_path / "out", tmp_path / name) == 3
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("posewright: ") and err.count("\n") == 1


def test_missing_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = picture(tmp_path / "grey.png")
    assert predict(tmp_path / "out", tmp_path / "gray.png", good, "--save", "jsonl") == 3
    message = one_line(capsys)
    assert "gray.png" in message and "grey.png" in message  # the nearest name
    assert len(lines(tmp_path / "out")) == 1


def test_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert predict(tmp_path / "out", tmp_path / "empty") == 3
    assert "empty" in one_line(capsys)
    assert not (tmp_path / "out").exists()  # no files about nothing


@pytest.mark.parametrize("kind", ["zero bytes", "audio", "junk", "text"])
def test_files_that_hold_no_pictures(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / {"junk": "a.mp4", "text": "a.docx"}.get(kind, "a.mp4")
    if kind == "audio":
        with av.open(str(path), "w") as file:
            stream = file.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
            frame.rate = 8000
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    else:
        path.write_bytes({"zero bytes": b"", "junk": b"\0\1\2" * 999, "text": b"hello"}[kind])
    assert predict(tmp_path / "out", path, "--save", "jsonl") == 3
    assert path.name in one_line(capsys)


def test_one_corrupt_picture_in_a_thousand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = cv2.imencode(".jpg", BLANK)[1].tobytes()
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(1000):
        (folder / f"{i}.jpg").write_bytes(data if i != 617 else data[: len(data) // 3])
    code = predict(
        tmp_path / "out",
        folder,
        "--save",
        "jsonl",
        "--max-people",
        "0",
        "--boxes",
        _no_boxes(tmp_path),
    )
    assert code == 3
    frames = lines(tmp_path / "out")
    assert len(frames) == 1000 and [f["frame"] for f in frames] == list(range(1000))
    bad = [f for f in frames if f["status"] != "ok"]
    assert len(bad) == 1 and bad[0]["source"].endswith("617.jpg")
    assert "617.jpg" in capsys.readouterr().err


def _no_boxes(folder: Path) -> Path:
    """A box file for the first image only, so that a thousand images cost no network."""
    path = folder / "boxes.json"
    box = {"image_id": 0, "category_id": 1, "bbox": [0, 0, 40, 60], "score": 1}
    path.write_text(json.dumps([box]))
    return path


def test_image_bomb(tmp_path: Path) -> None:
    bomb = png_bomb(tmp_path / "bomb.png", 30_000)
    assert bomb.stat().st_size < 2_000_000
    code = (
        # not getrusage, which begins with the memory of the process that started this one
        "import re; from posewright.cli import main;"
        f"code = main(['predict', {str(bomb)!r}, '-o', {str(tmp_path / 'out')!r}, '--save',"
        "'jsonl']); status = open('/proc/self/status').read();"
        "print(code, int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    exit_code, megabytes = map(int, done.stdout.split()[-2:])
    assert exit_code == 3 and megabytes < 1000  # decoded, it would be 2.7 GB
    assert "30000" in done.stderr and "--max-pixels" in done.stderr


def test_unreadable_codec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 48, 64, "yuv420p"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(BLANK, "rgb24")))
        file.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"ZZZZ"))
    assert predict(tmp_path / "out", path, "--save", "jsonl") == 3
    assert "odd.avi" in one_line(capsys)


def test_truncated_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.mkv"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 64, "yuv420p"
        for _ in range(40):
            noise = rng.integers(0, 255, BLANK.shape, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
        file.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert predict(tmp_path / "out", path, "--save", "jsonl") == 3
    frames = lines(tmp_path / "out")
    assert frames[-1]["status"] == "truncated" and 10 < len(frames) < 40
    assert "cut.mkv" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)])
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        rng = np.random.default_rng(0)
        for i in range(30):
            noise = rng.integers(0, 255, (200, 200, 3), np.uint8)
            picture(tmp_path / "many" / f"{i}.jpg", noise)
        code = predict(
            small / "out",
            tmp_path / "many",
            "--save",
            "images,jsonl",
            "--boxes",
            _no_boxes(tmp_path),
        )
        assert code == 4
        err = capsys.readouterr().err
        assert "the disk is full" in err and "unexpected" not in err
        left = {path.name for path in (small / "out").iterdir()}
        assert left <= {"poses.jsonl", ".posewright.journal"}  # by which --resume goes on
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_output_folder_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = picture(tmp_path / "grey.png")
    assert predict(good / "out", good, "--save", "jsonl") == 4
    assert "grey.png" in one_line(capsys)


def test_names_in_other_alphabets_and_very_long_ones(tmp_path: Path) -> None:
    for name in ("日本語 🕺 naïve.png", "x" * 250 + ".png"):
        path = picture(tmp_path / "in" / name)
        out = tmp_path / f"out{len(name)}"
        formats = "coco,alphapose,openpose,csv,jsonl,images,video"
        assert predict(out, path, "--save", formats) == 0, name
        assert lines(out)[0]["source"] == str(path)
        assert len(list((out / "images").iterdir())) == 1


def test_broken_box_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = picture(tmp_path / "grey.png")
    (tmp_path / "boxes.json").write_text('[{"image_id": 1, "bbox": [1, 2')
    assert predict(tmp_path / "out", good, "--boxes", tmp_path / "boxes.json") in (2, 3)
    assert "boxes.json" in one_line(capsys)


def test_nan_from_a_model(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    from posewright.weights import EMBEDDED

    model = onnx.load(EMBEDDED["movenet-thunder"].path)
    for tensor in model.graph.initializer:  # poison one head
        if tensor.name.startswith("kpt_offset") or "offset" in tensor.name:
            array = numpy_helper.to_array(tensor).copy()
            array[...] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, tmp_path / "nan.onnx")
    good = picture(tmp_path / "grey.png")
    options = ["-m", tmp_path / "nan.onnx", "--detector", "whole-image", "--save", "jsonl,coco"]
    assert predict(tmp_path / "out", good, *options, "--min-score", "0") == 3
    [row] = lines(tmp_path / "out")
    assert row["people"] == [] and row["status"] == "model_error"
    assert "movenet-thunder returned NaN" in row["message"]
    assert json.loads((tmp_path / "out" / "coco-results.json").read_text()) == []


def test_a_picture_named_as_a_video_and_the_other_way_round(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", BLANK)[1].tobytes()
    (tmp_path / "really-a-jpeg.png").write_bytes(data)
    assert predict(tmp_path / "out", tmp_path / "really-a-jpeg.png", "--save", "jsonl") == 0


def test_playlists_and_foreign_protocols(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.m3u8").write_text("#EXTM3U\nfile:///etc/passwd\n")
    assert predict(tmp_path / "out", tmp_path / "list.m3u8") in (2, 3)
    one_line(capsys)
    assert predict(tmp_path / "out2", "concat:a.mp4|b.mp4") in (2, 3)
    one_line(capsys)
