"""Cases of `../shared/cases/inference`: each does what its README expects."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

WHOLE = ("-d", "whole-image", "--progress", "none")


def test_dropped_frames_of_a_recorder(case: Any) -> None:
    here = case("inference/avi-dropped-frames")
    done = here.posewright("predict", "dropped.avi", "-o", "o", "--save", "jsonl", *WHOLE)
    rows = here.rows("o/poses.jsonl")
    assert done.code == 0, done.err
    assert {row["status"] for row in rows} == {"ok"}
    assert len(rows) in (20, 30)
    here.say(f"{len(rows)} frames, exit 0")


def test_equal_names_in_two_folders(case: Any) -> None:
    here = case("inference/coco-images-same-name")
    other = here.data / "coco" / "images" / "000000014439.jpg"
    for folder, picture in (("a", here.picture), ("b", other)):
        (here.folder / "pics" / folder).mkdir(parents=True)
        shutil.copyfile(picture, here.folder / "pics" / folder / "cam.jpg")
    images = [{"id": 11, "file_name": "a/cam.jpg"}, {"id": 22, "file_name": "b/cam.jpg"}]
    labels = {"images": images, "annotations": [], "categories": []}
    (here.folder / "ann.json").write_text(json.dumps(labels))
    options = ("--save", "coco,jsonl", "--coco-images", "ann.json", "--progress", "none")
    done = here.posewright("predict", "pics", "-o", "out", *options)
    assert done.code == 0, done.err
    found = json.loads((here.folder / "out/coco-results.json").read_text())
    expected = {
        11 if "a" in Path(row["source"]).parts else 22: len(row["people"])
        for row in here.rows("out/poses.jsonl")
    }
    assert len(expected) == 2
    assert Counter(person["image_id"] for person in found) == Counter(expected)
    here.say(f"people by image_id {expected}")


@pytest.mark.parametrize("words", [["-o", "o"], ["-o", "выход"]])
def test_a_console_that_cannot_say_a_name(case: Any, words: list[str]) -> None:
    here = case("inference/console-cannot-say-it")
    shutil.copyfile(here.data / "videos" / "mmpose_demo.mp4", here.folder / "видео.mp4")
    done = here.posewright(
        "predict", "видео.mp4", *words, "--save", "jsonl", *WHOLE, PYTHONIOENCODING="cp1252"
    )
    assert done.code == 0, done.err
    again = here.posewright(
        "track", f"{words[1]}/poses.jsonl", "-o", "трек", PYTHONIOENCODING="cp1252"
    )
    assert again.code == 0, again.err
    here.say("exit 0")


def test_a_damaged_frame_shifts_no_number(case: Any) -> None:
    here = case("inference/damaged-frame-shifts-numbers")
    done = here.posewright("predict", "mj_bad5.avi", "--save", "jsonl,openpose", "-o", "o", *WHOLE)
    rows = here.rows("o/poses.jsonl")
    assert done.code == 3
    assert [row["frame"] for row in rows] == list(range(12))
    assert [row["frame"] for row in rows if row["status"] != "ok"] == [5]
    assert rows[5]["status"] == "decode_error"
    numbers = sorted(
        int(re.findall(r"\d+", path.name)[-1]) for path in (here.folder / "o/openpose").iterdir()
    )
    assert [number for number in numbers if number != 5] == [0, 1, 2, 3, 4, *range(6, 12)]
    here.say("frames 0 to 11, number 5 is a decode_error")


def test_folders_are_sequences(case: Any) -> None:
    here = case("inference/folders-one-track")
    with av.open(str(here.data / "videos" / "mmpose_demo.mp4")) as clip:
        for number, frame in zip(range(8), clip.decode(video=0), strict=False):
            for name in ("s1", "s2"):
                folder = here.folder / "seqs" / name
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f"{number:03}.jpg"), frame.to_ndarray(format="bgr24"))
    options = ("--track", "--save", "csv", "--progress", "none")
    done = here.posewright("predict", "seqs", "-o", "o", *options)
    assert done.code == 0, done.err
    with (here.folder / "o/poses.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    column = next(name for name in table[0] if name in ("id", "person_id", "track_id"))
    first, second = (
        {row[column] for row in table if name in Path(row["source"]).parts} for name in ("s1", "s2")
    )
    first, second = first - {"-1"}, second - {"-1"}
    assert first and second and not first & second
    here.say(f"{len(first)} and {len(second)} identities, none in both")


@contextmanager
def served(folder: Path) -> Generator[str]:
    """The address of a server of that folder on this machine."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = partial(Handler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_of_a_server_has_an_end(case: Any) -> None:
    here = case("inference/http-file-read-for-ever")
    with served(here.folder) as host:
        url = f"http://{host}/nodur.webm"
        done = here.posewright("predict", url, "-o", "o", "--save", "jsonl", *WHOLE)
    assert done.code == 0, done.err
    assert len(here.rows("o/poses.jsonl")) == 20
    here.say("20 frames, exit 0")


def test_the_last_frame_is_as_long_as_the_others(case: Any) -> None:
    here = case("inference/last-frame-too-short")
    said = []
    for rate, count in ((5, 10), (1, 6), (24, 24), (60, 60)):
        name = f"f{rate}.mp4"
        with av.open(str(here.folder / name), "w") as clip:
            stream = clip.add_stream("libx264", rate=rate)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            for number in range(count):
                image = np.full((120, 160, 3), number, np.uint8)
                clip.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            clip.mux(stream.encode(None))
        done = here.posewright("predict", name, "-o", f"o{rate}", "--save", "video", *WHOLE)
        assert done.code == 0, done.err
        with av.open(str(next((here.folder / f"o{rate}").glob("*.mp4")))) as drawn:
            (video,) = drawn.streams.video
            seconds = float(video.duration * video.time_base)
        assert seconds == pytest.approx(count / rate, abs=0.01)
        said.append(f"{rate} fps: {seconds:.2f} s")
    here.say(", ".join(said))


@pytest.mark.parametrize("order", ["video,csv,jsonl", "jsonl,csv,video"])
def test_a_long_gap_loses_nothing(case: Any, order: str) -> None:
    here = case("inference/long-gap-loses-everything")
    done = here.posewright("predict", "gap10h.mkv", "--track", "--save", order, "-o", "o", *WHOLE)
    assert done.code in (0, 4), done.err
    assert len(here.rows("o/poses.jsonl")) == 4
    assert (here.folder / "o/poses.csv").stat().st_size
    assert not [path.name for path in (here.folder / "o").rglob("*") if "part" in path.name]
    assert done.code == 4 or list((here.folder / "o").glob("*.mp4"))
    here.say(f"CSV and JSONL are there, exit {done.code}")


def test_mirrored_videos(case: Any) -> None:
    here = case("inference/mirrored-display-matrix")
    people = {}
    for name in ("c6.mp4", "hflip.mp4"):
        out = f"o-{name}"
        done = here.posewright("predict", name, "-o", out, "--save", "jsonl", "--progress", "none")
        assert done.code == 0, done.err
        people[name] = [row["people"] for row in here.rows(f"{out}/poses.jsonl")]
    counts = [[len(frame) for frame in frames] for frames in people.values()]
    assert counts == [[2] * 6] * 2
    here.say("2 people in each of 6 frames")


def test_a_folder_that_is_a_number(case: Any) -> None:
    here = case("inference/numeric-folder-is-camera")
    (here.folder / "0007").mkdir()
    shutil.copyfile(here.picture, here.folder / "0007" / "a.jpg")
    done = here.posewright("predict", "0007", "-o", "o", "--save", "jsonl", "--progress", "none")
    assert done.code == 0, done.err
    assert len(here.rows("o/poses.jsonl")) == 1
    here.say("the folder is read")


def test_openpose_files_of_a_sequence(case: Any) -> None:
    here = case("inference/openpose-picture-sequence")
    (here.folder / "cam1").mkdir()
    for number in (1, 2, 3):
        shutil.copyfile(here.picture, here.folder / "cam1" / f"cam1_{number:03}.jpg")
    done = here.posewright("predict", "cam1", "-o", "o", "--save", "openpose", "--progress", "none")
    assert done.code == 0, done.err
    names = sorted(path.name for path in (here.folder / "o/openpose").rglob("*.json"))
    numbers = [int(re.findall(r"\d+", name)[-1]) for name in names]
    assert len(set(numbers)) == 3 and np.all(np.diff(numbers) == 1)
    here.say(" ".join(names))


def test_sources_are_never_replaced(case: Any) -> None:
    here = case("inference/overwrite-destroys-sources")
    clip = here.data / "videos" / "mmpose_demo.mp4"
    videos, pictures = here.folder / "v", here.folder / "p"
    (pictures / "images").mkdir(parents=True)
    videos.mkdir()
    for name in ("clip.mkv", "clip.mp4"):
        shutil.copyfile(clip, videos / name)
    shutil.copyfile(here.picture, pictures / "images" / "a.jpg")
    image = cv2.imread(str(here.picture))
    cv2.imwrite(str(pictures / "images" / "a.bmp"), image[:, ::-1])
    before = sums(here.folder)
    options = ("--overwrite", *WHOLE)
    names = [str(videos / "clip.mkv"), str(videos / "clip.mp4")]
    one = here.posewright("predict", *names, "-o", videos, "--save", "video", *options)
    two = here.posewright(
        "predict", pictures / "images", "-o", pictures, "--save", "images", *options
    )
    after = sums(here.folder)
    assert before.items() <= after.items()
    assert {one.code, two.code} <= {0, 2, 4}
    here.say(f"all four sources are as they were; exits {one.code} and {two.code}")


def sums(folder: Path) -> dict[str, str]:
    """The sums of all files of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("source", [".", "**/*.jpg"])
def test_own_drawings_are_no_sources(case: Any, source: str) -> None:
    here = case("inference/own-output-read-again")
    for name in ("a.jpg", "b.jpg"):
        shutil.copyfile(here.picture, here.folder / name)
    for extra in ([], ["--overwrite"]):
        done = here.posewright("predict", source, "--progress", "none", "--json", *extra)
        assert done.code == 0, done.err
        assert json.loads(done.out)["frames"] == 2
    drawn = sorted(p.name for p in (here.folder / "posewright-out/images").iterdir())
    assert drawn == ["a.jpg", "b.jpg"]
    here.say("2 frames both times")


def test_two_runs_into_one_folder(case: Any) -> None:
    here = case("inference/parallel-runs-one-folder")
    for name in ("a", "b"):
        shutil.copyfile(here.data / "videos" / "mmpose_demo.mp4", here.folder / f"{name}.mp4")
    options = ("-o", "r", "--save", "coco,openpose", "--progress", "none")
    runs = [here.start("predict", f"{name}.mp4", *options) for name in ("a", "b")]
    errors = [run.communicate(timeout=120)[1] for run in runs]
    codes = [run.returncode for run in runs]
    assert sorted(codes) == [0, 4], errors
    assert "Traceback" not in "".join(errors)
    assert len(errors[codes.index(4)].strip().splitlines()) == 1
    won = "ab"[codes.index(0)]
    files = {path.name[0] for path in (here.folder / "r/openpose").iterdir()}
    assert files == {won}
    here.say(errors[codes.index(4)].strip())


def test_passwords_in_addresses(case: Any) -> None:
    here = case("inference/password-in-query")
    clip = here.data.parent / "cases/inference/http-file-read-for-ever/nodur.webm"
    shutil.copyfile(clip, here.folder / "clip.webm")
    texts = []
    with served(here.folder) as host:
        for number, url in enumerate(
            (
                f"http://{host}/clip.webm?user=admin&pwd=hunter2",
                f"http://hunter2@{host}/clip.webm",
                f"http://{host}/nothing.mp4?token=hunter2",
                f"http://{host}/clip.webm?x=1&access_token=hunter2",
            )
        ):
            options = ("--save", "csv,jsonl,video", "--retry", "1", *WHOLE)
            done = here.posewright("predict", url, "-o", f"o{number}", *options)
            texts += [done.out, done.err]
    written = [path for path in here.folder.glob("o*/**/*") if path.is_file()]
    texts += [path.read_text("utf-8") for path in written if path.suffix in (".csv", ".jsonl")]
    texts += [str(path) for path in written]
    assert len(written) >= 9
    assert not [text for text in texts if "hunter2" in text]
    here.say(f"{len(written)} files hold no password")


def test_raw_photos(case: Any) -> None:
    here = case("inference/raw-photo-thumbnail")
    here.run("make.py", here.picture)
    for name in ("IMG_0001.dng", "IMG_0001.cr2", "IMG_0001.tif"):
        if name != "IMG_0001.dng":
            shutil.copyfile(here.folder / "IMG_0001.dng", here.folder / name)
        done = here.posewright("predict", name, "-o", f"o-{name}", "--save", "jsonl", *WHOLE)
        rows = here.rows(f"o-{name}/poses.jsonl") if done.code == 0 else []
        assert done.code == 3 or rows[0]["size"] == [640, 425], (name, done)
        assert done.code == 0 or "raw" in done.err
    shutil.copyfile(here.picture, here.folder / "a.jpg")
    done = here.posewright("predict", ".", "-o", "o", "--save", "jsonl", *WHOLE)
    assert "dng" in done.err
    here.say(done.err.strip().splitlines()[0])


def test_a_buffer_that_is_refilled(case: Any) -> None:
    here = case("inference/reused-buffer")
    done = here.run("case.py", here.data / "videos" / "pose2sim_multi_cam01.mp4")
    differences = json.loads(done.out.splitlines()[0].partition("px: ")[2])
    assert len(differences) == 12 and not any(differences)
    here.say("largest difference 0.0 px")


def test_no_telemetry(case: Any) -> None:
    here = case("inference/runtime-telemetry")
    home = here.folder / "h"
    home.mkdir()
    options = ("-o", "o", "--progress", "none")
    done = here.posewright("predict", here.picture, *options, HOME=str(home), XDG_CACHE_HOME="")
    assert done.code == 0, done.err
    assert not list(home.rglob("*"))
    here.say("the home folder stays empty")


def test_pictures_of_an_earlier_run(case: Any) -> None:
    here = case("inference/stale-images")
    source = here.data / "videos" / "pose2sim_single_cam01.mp4"
    for count, extra in ((8, []), (3, ["--overwrite"])):
        with av.open(str(source)) as clip, av.open(str(here.folder / "walk.mp4"), "w") as cut:
            stream = cut.add_stream("libx264", rate=25)
            for number, frame in zip(range(count), clip.decode(video=0), strict=False):
                image = frame.to_ndarray(format="rgb24")
                if not number:
                    stream.height, stream.width = image.shape[:2]
                    stream.pix_fmt = "yuv420p"
                cut.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            cut.mux(stream.encode(None))
        done = here.posewright("predict", "walk.mp4", "-o", "o", "--save", "images", *WHOLE, *extra)
        assert done.code == 0, done.err
        assert len(list((here.folder / "o/images").iterdir())) == count
    here.say("8 images, then 3")


@pytest.mark.parametrize("name", ["sev-coco.json", "sev-alpha.json"])
def test_tracking_keeps_videos_apart(case: Any, name: str) -> None:
    here = case("inference/track-merges-videos")
    here.run("make.py")
    done = here.posewright("track", name, "-o", "o", "--save", "jsonl")
    assert done.code == 0, done.err
    ids = [p["id"] for row in here.rows("o/poses.jsonl") for p in row["people"]]
    assert len(ids) == 6
    assert len(set(ids[:3])) == len(set(ids[3:])) == 1 and ids[0] != ids[3]
    here.say(f"{name}: identities {sorted(set(ids))}")


def test_tracks_have_times(case: Any) -> None:
    here = case("inference/track-times-zero")
    maker = here.data.parent / "cases/inference/track-merges-videos/make.py"
    here.run(maker)
    for name in ("sev-coco.json", "sev-alpha.json"):
        done = here.posewright("track", name, "--fps", "25", "-o", f"o-{name}", "--save", "jsonl")
        assert done.code == 0, done.err
        rows = [row for row in here.rows(f"o-{name}/poses.jsonl") if row["people"]]
        assert [row["time"] for row in rows] == pytest.approx([r["frame"] / 25 for r in rows])
        assert {row["frame"] for row in rows} == set(range(6))
    (here.folder / "pics").mkdir()
    for number in range(3):
        shutil.copyfile(here.picture, here.folder / "pics" / f"{number}.jpg")
    options = ("--fps", "10", "--save", "jsonl", "--track", *WHOLE)
    done = here.posewright("predict", "pics", "-o", "o", *options)
    assert done.code == 0, done.err
    assert [row["time"] for row in here.rows("o/poses.jsonl")] == pytest.approx([0, 0.1, 0.2])
    here.say("time is frame / fps")


BAD = {
    "damaged-frame-shifts-numbers": "mj_bad5.avi",
    "long-gap-loses-everything": "gap10h.mkv",
    "raw-photo-thumbnail": "IMG_0001.dng",
    "http-file-read-for-ever": "nodur.webm",
    "avi-dropped-frames": "dropped.avi",
}


@pytest.mark.parametrize("name", BAD)
def test_good_sources_beside_it(case: Any, name: str) -> None:
    """The rows of good sources are those of a run without the other one."""
    here = case(f"inference/{name}")
    if name == "raw-photo-thumbnail":
        here.run("make.py", here.picture)
    good = [here.picture, here.data / "videos" / "mmpose_demo.mp4"]
    options = ("--save", "jsonl", "--track", "--progress", "none")
    found = []
    for out, sources in (("alone", good), ("beside", [good[0], BAD[name], good[1]])):
        done = here.posewright("predict", *sources, "-o", out, *options)
        assert done.code in (0, 3), done.err
        rows = [row for row in here.rows(f"{out}/poses.jsonl") if BAD[name] not in row["source"]]
        found.append([places(row) for row in rows])
    assert len(found[0]) > 5 and found[0] == found[1]
    here.say(f"{len(found[0])} rows of good sources are equal")


def places(row: dict[str, Any]) -> dict[str, Any]:
    """What a frame holds, without what may differ from run to run: seconds and identities."""
    people = [{key: value for key, value in p.items() if key != "id"} for p in row["people"]]
    return {**{key: row[key] for key in ("source", "frame", "time", "status")}, "people": people}
