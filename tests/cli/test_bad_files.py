"""Every verb and option that names a file, with what is none: one line, and no waiting."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posewright.cli import main
from tests.helpers.refiners import small_refiner

ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">'
    b'<!ENTITY x SYSTEM "file:///etc/hostname">]><annotations>&b;&x;</annotations>'
)
ALIASES = b"a: &a [x,x]\n" + b"".join(b"a%d: &a%d [*a,*a]\n" % (n, n) for n in range(3))


def holding(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def zeros(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 << 20)


FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "folder": Path.mkdir,
    "empty": holding(b""),
    "zeros": zeros,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "pipe": os.mkfifo,
    "loop": lambda path: path.symlink_to(path.name),
    "bytes": holding(bytes(range(255, 0, -1)) * 40),
    "deep": holding(b"[" * 100_000),
    "keys": holding(b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(20_000)) + b"}"),
    "number": holding(b"[" + b"9" * 10_000 + b"]"),
    "null": holding(b"null"),
    "entities": holding(ENTITIES),
    "aliases": holding(ALIASES),
    "utf-16": holding("[{}]\n".encode("utf-16")),
    "line": holding(b"7" * 1_000_000),
    "pickle": holding(b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00:\x85R."),
}
# by what is read: the suffix of the file, and the command line; LABELS and RESULTS are good ones
VERBS: dict[str, tuple[str, str]] = {
    "track": (".json", "track FILE -o OUT"),
    "view": (".json", "view FILE --video LABELS -o OUT"),
    "measure": (".json", "measure FILE -o OUT"),
    "measure lines": (".jsonl", "measure FILE -o OUT"),
    "refine": (".json", "refine FILE --images PICTURE -m REFINER -o OUT"),
    "refine lines": (".jsonl", "refine FILE --images PICTURE -m REFINER -o OUT"),
    "eval refine": (".json", "eval coco --ann LABELS --predictions FILE --refine REFINER"),
    "track lines": (".jsonl", "track FILE -o OUT --person longest"),
    **{
        f"check {kind}": (suffix, f"data check FILE --kind {kind}")
        for kind, suffix in {
            "coco": ".json",
            "crowdpose": ".json",
            "mpii": ".json",
            "aic": ".json",
            "posetrack": ".json",
            "labelme": ".json",
            "label-studio": ".json",
            "lsp": ".mat",
            "jhmdb": ".mat",
            "cvat": ".xml",
            "yolo": ".yaml",
            "visdrone": ".txt",
        }.items()
    },
    "check a guess": ("", "data check FILE"),
    "convert": (".json", "data convert FILE OUT"),
    "eval labels": (".json", "eval coco --ann FILE --predictions RESULTS"),
    "eval results": (".json", "eval coco --ann LABELS --predictions FILE"),
    "eval mat": (".mat", "eval mpii --ann FILE --predictions RESULTS"),
    "eval tracks": (".txt", "eval mot --ann FILE --predictions FILE"),
    "eval posetrack": (".json", "eval posetrack --ann FILE --predictions FILE"),
    "compare data": (".json", "compare movenet-thunder --data coco:FILE"),
    "compare model": (".xml", "compare FILE --data LABELS"),
    "compare onnx": (".onnx", "compare FILE --data LABELS"),
    "recipe": (".toml", "train FILE -o OUT --quiet"),
    "study": (".toml", "study FILE -o OUT --quiet"),
    "train data": (".json", "train FILE -m movenet_fire717 -o OUT --quiet"),
    "resume": ("", "train --resume FILE"),
    "export": (".safetensors", "export FILE -o OUT/a.onnx"),
    "info": (".safetensors", "models info FILE"),
    "info onnx": (".onnx", "models info FILE"),
    "info openvino": (".xml", "models info FILE"),
    "checkpoint": (".pth", "models convert FILE --as hrnet -o OUT/a.safetensors"),
    "mindspore": (".ckpt", "models convert FILE --as hrnet -o OUT/a.safetensors"),
    "tfjs": (".json", "models convert FILE --as movenet -o OUT/a.safetensors"),
    "skeleton": (".json", "models convert WEIGHTS --as hrnet --skeleton FILE -o OUT/a.safetensors"),
    "boxes": (".json", "fit boxes LABELS --boxes FILE -o OUT/a.json"),
    "detections": (".json", "fit nms LABELS --detections FILE -o OUT/a.json"),
    "start weights": (
        ".safetensors",
        "train LABELS -m movenet_fire717 weights=FILE options.input_size=[64,64] workers=0 "
        "val_split=0 -o OUT --quiet",
    ),
    "predict refine": (".onnx", "predict PICTURE --refine FILE -o OUT"),
    "predict reid": (".onnx", "predict PICTURE --tracker appearance --reid FILE -o OUT"),
    "predict ids": (".json", "predict PICTURE --save coco --coco-images FILE -o OUT"),
    "predict boxes": (".json", "predict PICTURE --boxes FILE -o OUT"),
    "predict weights": (".safetensors", "predict PICTURE -m hrnet_w32 -w FILE -o OUT"),
    "predict model": (".onnx", "predict PICTURE -m FILE -o OUT"),
    "predict detector": (".onnx", "predict PICTURE -d yolox:FILE -o OUT"),
}
FEW = ("missing", "device", "pipe", "bytes")  # for verbs that load networks each time
GOOD = {("eval tracks", "empty")}  # nobody, and nobody found
# exit codes: 4 where the file is a network's, 3 where it is any other input; 2 where a recipe can
# be read and names no data, or an unknown setting
NETWORKS = {
    "compare model",
    "compare onnx",
    "resume",
    "export",
    "info",
    "info onnx",
    "info openvino",
    "checkpoint",
    "mindspore",
    "tfjs",
    "start weights",
    "predict weights",
    "predict model",
    "predict detector",
    "predict refine",
    "predict reid",
}
SETTINGS = {(verb, kind) for verb in ("recipe", "study") for kind in ("empty", "number")}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("good")
    assert main(["data", "synth", "-o", str(folder / "set"), "--count", "1"]) == 0
    (folder / "results.json").write_text("[]")
    (folder / "a.safetensors").write_bytes(b"\x02" + bytes(7) + b"{}")
    return {
        "LABELS": str(folder / "set" / "annotations.json"),
        "RESULTS": str(folder / "results.json"),
        "WEIGHTS": str(folder / "a.safetensors"),
        "REFINER": str(small_refiner(folder / "posefix.onnx")),
        "PICTURE": str(next((folder / "set").rglob("*.png"))),
    }


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """End a test that waits for a pipe or a device, which would never end."""

    def end(number: int, frame: object) -> None:
        raise TimeoutError("it waits for what never comes")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def filled(word: str, known: dict[str, str]) -> str:
    return re.sub("[A-Z]{3,}", lambda found: known[found[0]], word)


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_that_is_none_is_one_line(
    verb: str,
    good: dict[str, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suffix, line = VERBS[verb]
    monkeypatch.chdir(tmp_path)
    for kind in FEW if verb.startswith("predict") else FILES:
        folder = tmp_path / kind
        folder.mkdir()
        file = folder / f"bad{suffix}"
        FILES[kind](file)
        known = {"FILE": str(file), "OUT": str(tmp_path / "out"), **good}
        code = main([filled(word, known) for word in line.split()])
        out, err = capfd.readouterr()
        if (verb, kind) in GOOD:
            continue
        lines = [text for text in (out + err).splitlines() if not text.startswith("note:")]
        told = [text for text in lines if text.startswith("posewright: ")]
        expected = 2 if (verb, kind) in SETTINGS else 4 if verb in NETWORKS else 3
        assert code == expected and "Traceback" not in err, (kind, code, err)
        if not (verb.startswith("check") and lines[0].startswith(str(file))):  # a report
            assert told and len(lines) == 1 and len(told[0]) < 1700, (kind, lines)
        assert sorted(p.name for p in folder.iterdir()) in ([], [file.name]), kind
    assert {p.name for p in tmp_path.iterdir()} <= {*FILES, "out"}
