"""Good examples of every kind of file, small enough to be damaged often."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image

from posewright.cli import main
from posewright.cli.demo import CLIP

from .making_networks import networks
from .own import own

__all__ = ["examples"]

_PARTS = 12  # frames of a clip
# suffix and encoder of each clip, so that every container that people have is among them
_CLIPS = {
    "a.mp4": "libx264",
    "a.avi": "mpeg4",
    "a.mkv": "libx264",
    "a.ts": "mpeg4",
    "a.mov": "mpeg4",
    "a.webm": "libvpx",
    "mjpeg.avi": "mjpeg",
    "a.flv": "flv",
}
_JPEG, _TIFF = int(cv2.IMWRITE_JPEG_PROGRESSIVE), int(cv2.IMWRITE_TIFF_COMPRESSION)


def examples(folder: Path) -> dict[str, list[Path]]:
    """Write good files of every kind into a folder; return those that are to be damaged."""
    frames = _frames()
    found = {
        "pictures": _pictures(folder / "pictures", frames[0]),
        "videos": _videos(folder / "videos", frames),
    }
    found |= _results(folder)
    found |= _sets(folder)
    found |= _published(folder)
    found |= _small(folder, found["pictures"])
    return found | networks(folder) | own(folder)


def _written(file: Path, content: str | bytes | Any) -> list[Path]:
    """Write text, bytes, or anything else as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return [file]


def _frames() -> list[np.ndarray]:
    with av.open(str(CLIP)) as file:
        frames = [
            f.to_ndarray(format="bgr24")
            for f, _ in zip(file.decode(video=0), range(_PARTS), strict=False)
        ]
    return [cv2.resize(frame, (96, 168), interpolation=cv2.INTER_AREA) for frame in frames]


def _pictures(folder: Path, image: np.ndarray) -> list[Path]:
    folder.mkdir(parents=True)
    options: dict[str, list[int]] = {
        "a.jpg": [],
        "progressive.jpg": [_JPEG, 1],
        "a.png": [],
        "a.webp": [],
        "lzw.tif": [_TIFF, 5],
        "plain.tif": [_TIFF, 1],
        "a.bmp": [],
    }
    for name, flags in options.items():
        cv2.imwrite(str(folder / name), image, flags)
    deep = image.astype(np.uint16) * 257
    cv2.imwrite(str(folder / "deep.png"), deep)
    cv2.imwrite(str(folder / "deep.tif"), deep)
    pages = [Image.fromarray(image), Image.fromarray(image[::2])]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    pages[0].convert("P").save(folder / "palette.png")
    pages[0].save(folder / "lossless.webp", lossless=True)
    pages[0].save(
        folder / "turned.jpg",
        exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
    )
    return sorted(folder.iterdir())


def _videos(folder: Path, frames: Sequence[np.ndarray]) -> list[Path]:
    folder.mkdir()
    for name, codec in _CLIPS.items():
        with av.open(str(folder / name), "w") as file:
            stream = file.add_stream(codec, rate=Fraction(25))
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for frame in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
            file.mux(stream.encode(None))
    Image.fromarray(frames[0]).save(
        folder / "a.gif",
        save_all=True,
        duration=40,
        append_images=[Image.fromarray(f) for f in frames[1:4]],
    )
    return sorted(folder.iterdir())


def _run(*words: str | Path) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([str(word) for word in words])
    assert code == 0, f"{words}: {said.getvalue()[-500:]}"


def _results(folder: Path) -> dict[str, list[Path]]:
    """Write what `predict` finds in the images, and the boxes of it."""
    out = folder / "results"
    seen = [folder / "pictures" / name for name in ("a.jpg", "a.png", "deep.png")]
    _run("predict", *seen, "-o", out, "--save", "jsonl,coco,alphapose,openpose")
    lines = folder / "lines" / "poses.jsonl"
    lines.parent.mkdir()
    shutil.move(out / "poses.jsonl", lines)
    openpose = folder / "openpose"
    shutil.move(out / "openpose", openpose)
    entries = json.loads((out / "coco-results.json").read_text())
    boxes = [
        {"image_id": "a.jpg", "category_id": 1, "bbox": e["bbox"], "score": e["score"]}
        for e in entries
    ]
    shutil.copyfile(folder / "pictures" / "a.jpg", _written(folder / "boxes" / "a.jpg", b"")[0])
    return {
        "lines": [lines],
        "results": sorted(out.glob("*.json")),
        "openpose": sorted(openpose.rglob("*.json"))[:2],
        "boxes": _written(folder / "boxes" / "boxes.json", boxes),
    }


def _sets(folder: Path) -> dict[str, list[Path]]:
    """Write a set that is drawn, as each of the forms that we write; and what was found in it."""
    drawn = folder / "drawn"
    _run("data", "synth", "-o", drawn, "--count", "2")
    found = {}
    for form in ("coco", "labelme", "cvat", "yolo"):
        _run("data", "convert", drawn, folder / form, "--to", form, "--ratio", "0")
        files = [p for p in (folder / form).rglob("*") if p.suffix in (".json", ".xml", ".yaml")]
        found[form] = sorted(files)[:2]
    found["yolo"] += sorted((folder / "yolo").rglob("labels/**/*.txt"))[:1]
    labels = json.loads(found["coco"][0].read_text())
    kept = ("image_id", "category_id", "keypoints", "bbox")
    predictions = [{k: a[k] for k in kept} | {"score": 1} for a in labels["annotations"]]
    shutil.copyfile(found["coco"][0], _written(folder / "predictions" / "truth.json", "")[0])
    found["predictions"] = _written(folder / "predictions" / "found.json", predictions)
    return found | _like_coco(folder, labels)


def _like_coco(folder: Path, labels: dict[str, Any]) -> dict[str, list[Path]]:
    """Write the sets that have COCO's form with fields of their own."""
    shutil.copytree(folder / "drawn", folder / "like", dirs_exist_ok=True)
    names = json.loads(json.dumps(labels))
    for image in names["images"]:
        image |= {
            "vid_id": "1",
            "ignore_regions_x": [[1, 9, 9]],
            "ignore_regions_y": [[1, 1, 9]],
            "crowdIndex": 0.5,
            "is_labeled": True,
            "frame_id": image["id"],
        }
    for number, annotation in enumerate(names["annotations"]):
        annotation |= {
            "track_id": number,
            "bbox_head": [1, 1, 2, 2],
            "area": 9.0,
            "segmentation": [[1, 2, 3, 4, 5, 6]],
        }
    kinds = ("posetrack", "crowdpose", "jhmdb", "ochuman", "halpe")
    return {kind: _written(folder / "like" / f"{kind}.json", names) for kind in kinds}


def _published(folder: Path) -> dict[str, list[Path]]:
    """Write small label files of the sets and tools whose form we only read."""
    beside = folder / "like" / "a.jpg"
    (folder / "visdrone" / "images").mkdir(parents=True)
    for place in (beside, folder / "visdrone" / "images" / "a.jpg"):
        shutil.copyfile(folder / "pictures" / "a.jpg", place)
    person = {
        "image": "a.jpg",
        "joints": [[9.5, 9]] * 16,
        "joints_vis": [1] * 16,
        "scale": 0.5,
        "center": [40, 60],
    }
    aic = {
        "image_id": "a",
        "human_annotations": {"h": [1, 2, 30, 40]},
        "keypoint_annotations": {"h": [10, 20, 1] * 14},
    }
    size = {"original_width": 96, "original_height": 168, "image_rotation": 0}
    box = {"x": 1, "y": 1, "width": 50, "height": 50, "rectanglelabels": ["person"]}
    results = [
        {"type": "rectanglelabels", "id": "r", "value": box, **size},
        {
            "type": "keypointlabels",
            "id": "k",
            "parentID": "r",
            **size,
            "value": {"x": 1, "y": 1, "width": 1, "keypointlabels": ["nose"]},
        },
    ]
    task = {
        "data": {"image": "/data/local-files/?d=set/a.jpg"},
        "id": 1,
        "annotations": [{"result": results, "was_cancelled": False}],
    }
    lines = "684,8,273,116,0,0,0,0\n406,119,265,70,1,1,0,0\n1,2,3,4,1,4,0,0\n"
    return {
        "mpii": _written(folder / "like" / "mpii.json", [person, person]),
        "aic": _written(folder / "like" / "aic.json", [aic]),
        "label-studio": _written(folder / "like" / "studio.json", [task]),
        "visdrone": _written(folder / "visdrone" / "annotations" / "a.txt", lines),
        "mot": _written(folder / "mot" / "gt.txt", "1,1,10,10,20,40,1\n2,1,11,10,20,40,1\n"),
    }


def _small(folder: Path, pictures: list[Path]) -> dict[str, list[Path]]:
    names = "\n".join(str(picture) for picture in pictures[:2])
    archive = folder / "archives" / "a.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for picture in pictures[:2]:
            packed.write(picture, f"walk/{picture.name}")
    recipe = folder / "recipes" / "recipe.toml"
    recipe.parent.mkdir()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["train", "-m", "hrnet_w32", "nothing.json", "--show"]) == 0
    return {
        "lists": _written(folder / "lists" / "list.txt", f"# two images\n{names}\n"),
        "archives": [archive],
        "recipes": _written(recipe, out.getvalue()),
    }
