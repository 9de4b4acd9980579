"""MATLAB files: the shared ones, written ones, broken ones."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from posewright.errors import SourceError
from posewright.files import matfile
from posewright.files.matfile import read_mat


def test_shared_numbers(data_dir: Path) -> None:
    joints = read_mat(data_dir / "lspet" / "joints.mat")["joints"]
    assert joints.shape == (14, 3, 10000) and joints.dtype == np.float64
    labels = np.load(data_dir / "lspet" / "labels.npz")["arr_0"]  # (3000, 2, 14)
    assert labels.shape[1:] == (2, 14)
    assert set(np.unique(joints[:, 2])) == {0, 1}
    mpii = read_mat(data_dir / "eval_reference" / "mpii_pckh" / "detections_our_format.mat")
    assert mpii["jnt_missing"].shape == (16, 2958) and mpii["pos_gt_src"].shape == (16, 2, 2958)
    assert mpii["dataset_joints"][0, :3].tolist() == ["rank", "rkne", "rhip"]


def test_shared_cells_and_structs(data_dir: Path) -> None:
    path = data_dir / "bonn_posetrack" / "annolist" / "test" / "annolist.mat"
    videos = read_mat(path)["annolist"]
    assert videos.shape == (30, 1) and videos[0, 0]["name"] == "000002"
    frames = videos[0, 0]["annopoints"]
    assert frames.dtype == object and frames.shape == (4, 151)
    person = frames[0, 0][0, 0]
    assert person["head_rect"].shape == (1, 4)
    assert person["point"].shape == (1, 12)
    assert person["point"][0, 0]["x"][0, 0] == pytest.approx(301.82308989)


# --- files written here --------------------------------------------------------------------------


def element(kind: int, body: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(body)) + body + b"\0" * (-len(body) % 8)


def small(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body.ljust(4, b"\0")


def matrix(name: str, shape: tuple[int, ...], kind: int, content: bytes, order: str = "<") -> bytes:
    head = element(6, struct.pack(f"{order}II", kind, 0), order)
    sizes = element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    return element(14, head + sizes + element(1, name.encode(), order) + content, order)


def doubles(name: str, *values: float, order: str = "<") -> bytes:
    body = element(9, struct.pack(f"{order}{len(values)}d", *values), order)
    return matrix(name, (1, len(values)), 6, body, order)


def write(path: Path, *variables: bytes, order: str = "<") -> Path:
    mark = b"IM" if order == "<" else b"MI"
    path.write_bytes(
        b"MATLAB 5.0".ljust(124) + struct.pack(f"{order}H", 256) + mark + b"".join(variables)
    )
    return path


def test_written_values(tmp_path: Path) -> None:
    text = matrix("t", (1, 2), 4, element(16, b"ab"))
    lines = matrix("l", (2, 2), 4, element(16, b"acbd"))
    column = matrix("c", (2, 2), 9, small(2, b"\1\2\3\4"))
    cell = matrix("cell", (1, 2), 1, doubles("", 1.5) + matrix("", (1, 1), 4, element(16, b"x")))
    fields = small(5, struct.pack("<i", 4)) + element(1, b"a\0\0\0b\0\0\0")
    record = matrix("s", (1, 1), 2, fields + doubles("", 7) + element(14, b""))
    path = write(tmp_path / "a.mat", text, lines, column, cell, record)
    values = read_mat(path)
    assert values["t"] == "ab" and values["l"] == "ab\ncd"
    assert values["c"].tolist() == [[1, 3], [2, 4]]
    assert values["c"].dtype == np.uint8
    assert values["cell"][0, 0].tolist() == [[1.5]] and values["cell"][0, 1] == "x"
    assert values["s"][0, 0]["a"].tolist() == [[7]] and values["s"][0, 0]["b"].shape == (0, 0)


def test_compressed_and_big_endian(tmp_path: Path) -> None:
    packed = zlib.compress(doubles("x", 1, 2))
    path = write(tmp_path / "z.mat", struct.pack("<II", 15, len(packed)) + packed, doubles("y", 3))
    assert {k: v.tolist() for k, v in read_mat(path).items()} == {"x": [[1, 2]], "y": [[3]]}
    path = write(tmp_path / "b.mat", doubles("x", 1, 2, order=">"), order=">")
    assert read_mat(path)["x"].tolist() == [[1, 2]]


def test_broken_files_are_one_line_errors(tmp_path: Path) -> None:
    good = write(tmp_path / "good.mat", doubles("x", *range(20))).read_bytes()
    path = tmp_path / "bad.mat"
    rng = np.random.default_rng(0)
    for cut in (0, 50, 127, 140, 200, len(good) - 1):
        path.write_bytes(good[:cut])
        with pytest.raises(SourceError, match="not a MATLAB file") as error:
            read_mat(path)
        assert "\n" not in str(error.value)
    for _ in range(300):  # any damage is an error of ours or goes unnoticed
        damaged = bytearray(good)
        damaged[int(rng.integers(128, len(good)))] = int(rng.integers(256))
        path.write_bytes(damaged)
        try:
            read_mat(path)
        except SourceError as error:
            assert "\n" not in str(error)
    with pytest.raises(SourceError, match=r"did you mean 'good\.mat'"):
        read_mat(tmp_path / "god.mat")


def test_what_is_more_than_data_is_refused(tmp_path: Path) -> None:
    for kind in (3, 5, 16):  # object, sparse, function
        path = write(tmp_path / "o.mat", matrix("o", (1, 1), kind, b""))
        with pytest.raises(SourceError, match="none of numbers, text, cell and struct"):
            read_mat(path)
    deep = doubles("", 1)
    for _ in range(40):
        deep = matrix("", (1, 1), 1, deep)
    with pytest.raises(SourceError, match="nested deeper"):
        read_mat(write(tmp_path / "deep.mat", deep))
    path.write_bytes(b"\x89HDF\r\n\x1a\n" * 40)
    with pytest.raises(SourceError, match="-v7"):
        read_mat(path)


def packed(*variables: bytes) -> bytes:
    parts = [zlib.compress(v) for v in variables]
    head = b"MATLAB 5.0".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    return head + b"".join(struct.pack("<II", 15, len(p)) + p for p in parts)


def test_a_small_file_does_not_take_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "joints.mat"
    size = (65 << 20) // 8
    path.write_bytes(packed(matrix("joints", (1, size), 6, element(9, bytes(size * 8)))))
    with monkeypatch.context() as patch:
        patch.setattr(matfile, "UNPACKED", 64 << 20)
        with pytest.raises(SourceError, match="it holds more than 64 MB"):
            read_mat(path)
    cells = matrix("a", (1, 9000), 1, element(14, b"") * 9000)
    structs = small(5, struct.pack("<i", 1)) + element(1, b"") + bytes(9000)
    path.write_bytes(packed(cells, matrix("b", (1, 9000), 2, structs)))
    assert [v.shape for v in read_mat(path).values()] == [(1, 9000), (1, 9000)]
    for name, most in (("UNPACKED", 70_000), ("MEMORY", 9500 * 192)):  # of both: one would fit
        with monkeypatch.context() as patch:
            patch.setattr(matfile, name, most)
            with pytest.raises(SourceError, match="more than"):
                read_mat(path)
