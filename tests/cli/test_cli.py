"""The command line: every option has an effect, every mistake a line and an exit code."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from posewright.cli import VERBS, build_parser
from posewright.cli.demo import CLIP
from posewright.people import Frame
from posewright.pipeline.estimate import find_people
from posewright.runtimes.openvino import has_bf16
from tests.helpers.runs import lines, predict, run
from tests.helpers.servers import serve, shots


@pytest.fixture(scope="session")
def short_mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of the demo clip."""
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    with av.open(str(CLIP)) as file, av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 544, 960, "yuv420p"
        for i, frame in enumerate(file.decode(video=0)):
            if i == 12:
                break
            small = frame.reformat(544, 960, "yuv420p")
            small.pts = None
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))
    return path


def people(out: Path) -> list[dict]:
    return [p for line in lines(out) for p in line["people"]]


def test_a_picture_to_every_format(tmp_path: Path, people_jpg: Path) -> None:
    formats = "coco,alphapose,openpose,csv,parquet,jsonl,images,video"
    assert predict(tmp_path, people_jpg, "--save", formats) == 0
    coco = json.loads((tmp_path / "coco-results.json").read_text())
    assert len(coco) == 3 and coco[0]["image_id"] == 42 and len(coco[0]["keypoints"]) == 51
    alphapose = json.loads((tmp_path / "alphapose-results.json").read_text())
    assert alphapose[0]["image_id"] == "000000000042.jpg" and isinstance(alphapose[0]["idx"], int)
    (openpose,) = (tmp_path / "openpose").iterdir()
    assert openpose.name == "000000000042_000000000000_keypoints.json"
    rows = list(csv.DictReader((tmp_path / "poses.csv").read_text().splitlines()))
    assert len(rows) == 3 * 17 and {r["joint"] for r in rows} >= {"nose", "left_ankle"}
    assert (tmp_path / "poses.parquet").read_bytes()[:4] == b"PAR1"
    drawn = cv2.imread(str(tmp_path / "images" / "000000000042.jpg"))
    assert drawn.shape == (960, 544, 3)
    assert np.abs(drawn.astype(int) - cv2.imread(str(people_jpg))).max() > 100
    (video,) = tmp_path.glob("*.mp4")  # images make a video named after their folder
    assert video.stem == people_jpg.parent.name and video.stat().st_size > 1000


def test_a_video_with_identities(tmp_path: Path, short_mp4: Path) -> None:
    assert predict(tmp_path, short_mp4, "--track", "--save", "jsonl,openpose,video") == 0
    frames = lines(tmp_path)
    assert [f["frame"] for f in frames] == list(range(12))
    assert {p["id"] for p in frames[0]["people"]} == {p["id"] for p in frames[-1]["people"]}
    assert len(list((tmp_path / "openpose").iterdir())) == 12
    with av.open(str(tmp_path / "walk.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == 12
        assert file.streams.video[0].codec_context.name == "h264"


def test_track_adds_ids_to_saved_poses(tmp_path: Path, short_mp4: Path) -> None:
    assert predict(tmp_path / "a", short_mp4, "--save", "jsonl") == 0
    assert all(p["id"] == -1 for p in people(tmp_path / "a"))
    saved = tmp_path / "a" / "poses.jsonl"
    code = run("track", saved, "-o", tmp_path / "b", "--save", "jsonl,csv")
    assert code == 0 and (tmp_path / "b" / "poses.csv").is_file()
    ids = {p["id"] for p in people(tmp_path / "b")}
    assert len(ids) == 3 and min(ids) == 1
    kept = [p["keypoints"] for p in people(tmp_path / "a")]
    assert kept == [p["keypoints"] for p in people(tmp_path / "b")]
    assert run("track", saved, "-o", tmp_path / "c", "--save", "video") == 2


def test_track_fps_has_an_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"image_id": 0, "category_id": 1, "score": 2.825}  # mean + box .8 + 1.25 max
    poses = []
    for frame in (0, 1, 2, 102, 103, 104):  # a hundred frames without anybody
        points = [v for i in range(17) for v in (100.0 + i, 100 + 5 * i, 0.9)]
        poses.append(
            {
                **entry,
                "image_id": f"{frame}.jpg",
                "keypoints": points,
                "box": [90, 90, 40, 110],
                "idx": -1,
            }
        )
    path = tmp_path / "alphapose-results.json"
    path.write_text(json.dumps(poses))
    counts = []
    for fps in (5, 1000):
        out = tmp_path / str(fps)
        assert run("track", path, "-o", out, "--fps", fps, "--json") == 0
        counts.append(json.loads(capsys.readouterr().out)["ids"])
    assert counts == [2, 1]  # gone for twenty seconds, gone for 100 ms


def test_default_formats_fit_the_source(tmp_path: Path, people_jpg: Path, short_mp4: Path) -> None:
    assert predict(tmp_path / "a", people_jpg) == predict(tmp_path / "b", short_mp4) == 0
    assert {p.name for p in (tmp_path / "a").iterdir()} == {"poses.jsonl", "images"}
    assert {p.name for p in (tmp_path / "b").iterdir()} == {"poses.jsonl", "walk.mp4"}


def test_pictures_and_videos_together(tmp_path: Path, people_jpg: Path, short_mp4: Path) -> None:
    assert predict(tmp_path, people_jpg, short_mp4, "--save", "jsonl,coco") == 0
    assert len({line["source"] for line in lines(tmp_path)}) == 2
    ids = [e["image_id"] for e in json.loads((tmp_path / "coco-results.json").read_text())]
    assert len(set(ids)) == 13


EFFECTS = {
    "flip": (["--flip"], lambda a, b: a[0]["keypoints"] != b[0]["keypoints"]),
    "min-score": (["--min-score", "0.99"], lambda a, b: len(b) == 0 < len(a)),
    "det-score": (["--det-score", "0.99"], lambda a, b: len(b) == 0 < len(a)),
    "max-people": (["--max-people", "1"], lambda a, b: len(b) == 1 < len(a)),
    "detector": (["--detector", "whole-image"], lambda a, b: len(b) <= 1 < len(a)),
    "runtime": (["--runtime", "onnxruntime"], lambda a, b: a[0]["keypoints"] != b[0]["keypoints"]),
    "precision": (["--precision", "fp32"], lambda a, b: a[0]["keypoints"] != b[0]["keypoints"]),
}


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, people_jpg: Path) -> list[dict]:
    """The people of the image without any option."""
    out = tmp_path_factory.mktemp("plain")
    assert predict(out, people_jpg, "--save", "jsonl") == 0
    return people(out)


@pytest.mark.parametrize("name", EFFECTS)
def test_network_options_have_an_effect(
    tmp_path: Path, people_jpg: Path, plain: list[dict], name: str
) -> None:
    options, differs = EFFECTS[name]
    if name == "precision" and not has_bf16():
        pytest.skip("this processor has no bf16, so fp32 is the default already")
    assert predict(tmp_path, people_jpg, "--save", "jsonl", *options) == 0
    assert differs(plain, people(tmp_path))


def test_nms_option(tmp_path: Path, people_jpg: Path) -> None:
    boxes = [{"image_id": 42, "category_id": 1, "bbox": [290, 390, 200, 500], "score": 0.9}] * 3
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    counts = {}
    for way in ("ppose", "oks", "none"):
        out = tmp_path / way
        options = ["--boxes", tmp_path / "boxes.json", "--nms", way, "--save", "jsonl"]
        assert predict(out, people_jpg, *options) == 0
        counts[way] = len(people(out))
    assert counts == {"ppose": 1, "oks": 1, "none": 3}


def test_threads_option_gives_the_same_answer(tmp_path: Path, short_mp4: Path) -> None:
    found = []
    for n in (1, 2):
        out = tmp_path / str(n)
        assert predict(out, short_mp4, "--threads", n, "--save", "jsonl", "--track") == 0
        found.append([(p["id"], p["keypoints"]) for p in people(out)])
    assert found[0] == found[1]


def test_threads_option_starts_that_many(tmp_path: Path) -> None:
    args = build_parser().parse_args(["predict", "x", "--threads", "3"])
    from posewright.cli.common import load_pose

    args.runtime = "onnxruntime"
    assert load_pose(args).pipeline.threads == 3


def test_model_option(tmp_path: Path, people_jpg: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(tmp_path, people_jpg, "-m", "movenet-tunder") == 2
    assert "did you mean 'movenet-thunder'" in capsys.readouterr().err
    assert predict(tmp_path, people_jpg, "-m", "nanodet-g-person", "--save", "jsonl") == 2
    assert predict(tmp_path, people_jpg, "-d", "movenet-thunder") == 2
    assert predict(tmp_path, people_jpg, "--device", "cuda", "--runtime", "onnxruntime") == 4
    assert "CUDAExecutionProvider" in capsys.readouterr().err


def test_det_every_skips_detections(
    tmp_path: Path, short_mp4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detected: list[int] = []

    def counting(detector: Any, frames: list[Frame], *more: Any) -> Any:
        detected.extend(frame.index for frame in frames)
        return find_people(detector, frames, *more)

    monkeypatch.setattr("posewright.pipeline.pipeline.find_people", counting)
    options = ["--track", "--det-every", "4", "--save", "jsonl"]
    assert predict(tmp_path, short_mp4, *options) == 0
    frames = lines(tmp_path)
    assert all(len(f["people"]) == 3 for f in frames)
    assert detected == [0, 4, 8]
    assert predict(tmp_path / "x", short_mp4, "--det-every", "4") == 2


def test_boxes_file(tmp_path: Path, people_jpg: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box = {"image_id": 42, "category_id": 1, "bbox": [130, 150, 180, 460], "score": 0.8}
    (tmp_path / "boxes.json").write_text(json.dumps([box]))
    options = ["--boxes", tmp_path / "boxes.json", "--save", "jsonl"]
    assert predict(tmp_path / "a", people_jpg, *options) == 0
    (person,) = people(tmp_path / "a")
    assert np.allclose(person["box"], [130, 150, 310, 610]) or person["box"][:2] == [130, 150]
    (tmp_path / "boxes.json").write_text(json.dumps([{**box, "image_id": 43}]))
    assert predict(tmp_path / "b", people_jpg, *options) == 3
    assert "no box was used" in capsys.readouterr().err
    assert lines(tmp_path / "b")[0]["people"] == []
    for detector in ("whole-image", "detector.onnx"):
        assert predict(tmp_path / "c", people_jpg, *options, "-d", detector) == 2
        assert f"leave out one of both, --boxes or -d {detector}" in capsys.readouterr().err


def test_coco_images_option(tmp_path: Path, people_jpg: Path) -> None:
    images = {"images": [{"id": 777, "file_name": "000000000042.jpg"}]}
    (tmp_path / "ann.json").write_text(json.dumps(images))
    options = ["--coco-images", tmp_path / "ann.json", "--save", "coco"]
    assert predict(tmp_path / "out", people_jpg, *options) == 0
    entries = json.loads((tmp_path / "out" / "coco-results.json").read_text())
    assert {e["image_id"] for e in entries} == {777}


def test_drawing_options(tmp_path: Path, short_mp4: Path) -> None:
    def last(*options: str) -> np.ndarray:
        out = tmp_path / ("o" + "".join(options).replace("-", ""))
        assert predict(out, short_mp4, "--track", "--save", "images", *options) == 0
        return cv2.imread(str(sorted((out / "images").iterdir())[-1])).astype(int)

    plain = last()
    for options in (["--draw-boxes"], ["--draw-scores"], ["--no-ids"], ["--draw-threshold", "0.9"]):
        assert np.abs(last(*options) - plain).max() > 100, options


def test_openpose_order_and_sep_json(tmp_path: Path, people_jpg: Path) -> None:
    sizes = {}
    for order in ("own", "coco18", "body25"):
        out = tmp_path / order
        assert predict(out, people_jpg, "--save", "openpose", "--openpose-order", order) == 0
        (file,) = (out / "openpose").iterdir()
        sizes[order] = len(json.loads(file.read_text())["people"][0]["pose_keypoints_2d"])
    assert sizes == {"own": 51, "coco18": 54, "body25": 75}
    assert predict(tmp_path / "s", people_jpg, "--save", "alphapose-cmu", "--sep-json") == 0
    assert len(list((tmp_path / "s" / "sep-json").iterdir())) == 1
    assert predict(tmp_path / "n", people_jpg, "--save", "alphapose-cmu") == 0
    assert not (tmp_path / "n" / "sep-json").exists()


def test_overwrite_option(tmp_path: Path, people_jpg: Path) -> None:
    assert predict(tmp_path, people_jpg, "--save", "jsonl") == 0
    before = (tmp_path / "poses.jsonl").read_bytes()
    assert predict(tmp_path, people_jpg, "--save", "jsonl", "--min-score", "1") != 0
    assert (tmp_path / "poses.jsonl").read_bytes() == before
    assert predict(tmp_path, people_jpg, "--save", "jsonl", "--min-score", "1", "--overwrite") == 0
    assert people(tmp_path) == []


def test_max_pixels_option(tmp_path: Path, people_jpg: Path) -> None:
    options = ["--save", "jsonl", "--max-pixels", "1000"]
    assert predict(tmp_path, people_jpg, *options) == 3
    assert lines(tmp_path)[0]["status"] == "decode_error"


def test_json_summary(tmp_path: Path, short_mp4: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--json", "--progress", "json", "--track", "--save", "jsonl"]
    assert run("predict", short_mp4, "-o", tmp_path, *options) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert summary["frames"] == 12 and summary["people"] == 36 and summary["ids"] == 3
    assert summary["files"] == [str(tmp_path / "poses.jsonl")] and summary["exit_code"] == 0
    last = json.loads(err.splitlines()[-1])
    assert last["done"] == last["total"] == 12 and last["people"] == 36


def test_progress_none_and_plain(
    tmp_path: Path, people_jpg: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(tmp_path / "a", people_jpg, "--save", "jsonl") == 0
    assert capsys.readouterr().err == ""
    assert run("predict", people_jpg, "-o", tmp_path / "b", "--save", "jsonl") == 0
    assert "1/1" in capsys.readouterr().err


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"schema"}))  # which has no options
def test_unknown_options_suggest_the_nearest(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"predict": ["x", "--trak"], "models": ["list", "--jsn"], "track": ["x", "--sve"]}
    words["view"] = ["x", "--images", "y", "--drw-boxes"]
    words["measure"] = ["x", "--jsn"]
    words["refine"] = ["x", "--images", "y", "-m", "z", "--jsn"]
    words |= {
        "data": ["check", "x", "--jsn"],
        "eval": ["coco", "--ann", "a", "--predictions", "b", "--jsn"],
        "export": ["x", "--jsn"],
        "train": ["--quit"],
        "compare": ["m", "--data", "coco:d", "--jsn"],
        "study": ["x.toml", "-o", "y", "--jsn"],
        "fit": ["boxes", "x", "--jitter", "0.1", "-o", "o", "--jsn"],
    }
    wrong = words.get(verb, ["--jsn"])
    assert run(verb, *wrong) == 2
    err = capsys.readouterr().err
    assert "did you mean '--" in err and len(err.strip().splitlines()) == 1


def test_sources_stand_on_both_sides_of_an_option(
    tmp_path: Path, people_jpg: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.jpg"
    other.write_bytes(people_jpg.read_bytes())
    assert run("predict", people_jpg, "--save", "jsonl", other, "-o", tmp_path / "o") == 0
    assert len(lines(tmp_path / "o")) == 2
    assert run("predict", people_jpg, "--mode", "balancd") == 2
    assert "did you mean 'balanced'" in capsys.readouterr().err
    assert run("predict", people_jpg, "--mode", "fast") == 2
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "old, new", [("pgpg fit", "boxes"), ("ppnms fit", "nms"), ("pgpg", "boxes")]
)
def test_verbs_of_earlier_versions(old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*old.split(), "--help") == 0
    assert f"usage: posewright fit {new} " in capsys.readouterr().out
    assert run("--help") == 0
    assert "ppnms" not in capsys.readouterr().out


def test_unknown_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predct") == 2
    assert "did you mean 'predict'" in capsys.readouterr().err
    assert predict(tmp_path, "x.jpg", "--save", "openpos") == 2
    assert "did you mean 'openpose'" in capsys.readouterr().err
    assert predict(tmp_path, "x.jpg", "--min-score", "2") == 2
    assert predict(tmp_path, "x.jpg", "--nms", "pose") == 2
    assert not list(tmp_path.glob("*.part*"))


def test_models_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "list") == 0
    assert "movenet-thunder" in capsys.readouterr().out
    assert run("models", "list", "--json") == 0
    assert {"pose", "detector", "hrnet"} <= {
        row["kind"] for row in json.loads(capsys.readouterr().out)
    }
    assert run("models", "info", "movenet-thunder") == 0
    assert "Apache-2.0" in capsys.readouterr().out
    assert run("models", "info", "nanodet-g-person", "--json") == 0
    assert json.loads(capsys.readouterr().out)["codec"]["kind"] == "distribution_boxes"
    assert run("models", "info", "nanodet") == 2


def test_doctor_and_bench(people_jpg: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["embedded networks"].startswith("ok") and report["numpy"] == np.__version__
    assert run("bench", "--count", "4", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 4 and report["people/s"] > 0
    assert run("bench", people_jpg) == 3


def test_demo_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert run("demo", "-o", tmp_path, "--progress", "none", "--json") == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["frames"] == 100 and 290 <= summary["people"] <= 310 and summary["ids"] <= 4
    names = {Path(f).name for f in summary["files"]}
    assert names >= {"three-people.mp4", "images", "poses.csv", "coco-results.json"}


@pytest.mark.parametrize("name", ["poses.jsonl", "poses.part-0a1b2c3d.jsonl", "poses.csv"])
def test_demo_replaces_no_other_results(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = '{"format": "posewright-results"}\n{"source": "mine.mp4"}\n'
    (tmp_path / name).write_text(rows)
    assert run("demo", "-o", tmp_path) == 4
    assert "holds results of another run" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == rows and len(list(tmp_path.iterdir())) == 1


def start_demo(out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "posewright", "demo", "-o", str(out), "--progress", "json"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_interrupt_finishes_the_files_at_hand(tmp_path: Path) -> None:
    process = start_demo(tmp_path)
    assert process.stderr is not None
    process.stderr.readline()  # work has begun
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "finishing the frame in work" in err
    done = len(lines(tmp_path))
    assert 0 < done < 100
    with av.open(str(tmp_path / "three-people.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == done
    assert not [p for p in tmp_path.iterdir() if ".part" in p.name]


def test_two_interrupts_stop_at_once_and_leave_no_half_files(tmp_path: Path) -> None:
    process = start_demo(tmp_path)
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not [p for p in tmp_path.iterdir() if ".part" in p.name]


def test_no_home_and_a_read_only_working_folder(people_jpg: Path, tmp_path: Path) -> None:
    names = ("PATH", "LANG", "LD_LIBRARY_PATH")
    env = {k: v for k, v in os.environ.items() if k in names}
    command = [sys.executable, "-m", "posewright", "predict", str(people_jpg), "-o", str(tmp_path)]
    done = subprocess.run([*command, "--save", "jsonl"], env=env, capture_output=True, cwd="/proc")
    assert done.returncode == 0, done.stderr


def test_retry_and_latest_have_an_effect(tmp_path: Path) -> None:
    options = ["--save", "jsonl", "--detector", "whole-image", "--threads", "1"]
    seconds = {}
    for retry in ("0", "1.5"):
        with serve(shots(3), None) as server:  # three images, then nobody answers
            start = time.monotonic()
            out = tmp_path / f"retry{retry}"
            assert predict(out, server.url, "--retry", retry, *options) == 3
            seconds[retry] = time.monotonic() - start
        assert [f["status"] for f in lines(out)] == ["ok", "ok", "ok", "truncated"]
    assert seconds["1.5"] > seconds["0"] + 1
    found = {}
    for name, latest in (("all", []), ("latest", ["--latest"])):
        with serve(shots(60, 0.001), None) as server:
            out = tmp_path / name
            assert predict(out, server.url, "--retry", "0", *latest, *options, "--flip") == 3
            found[name] = sum(f["status"] == "ok" for f in lines(out))
    assert found["latest"] < found["all"] == 60
