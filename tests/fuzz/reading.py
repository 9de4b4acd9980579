"""Readers that are called with damaged files, without a command line: hundreds of times a second.

Each takes a path.  What a reader documents besides the errors of posewright becomes one here.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.errors import ModelError, SourceError

if TYPE_CHECKING:
    from posewright.runtimes import Runtime

__all__ = ["READERS", "SETS", "opened"]

_PIXELS = 1_000_000  # of an image that is decoded; the examples have 16,128


def _used_up(values: Iterable[Any]) -> None:
    deque(values, 0)


def _picture_header(file: Path) -> None:
    from posewright.sources.guard import BadPicture, allowed, shown_sizes

    try:
        allowed(shown_sizes(io.BytesIO(file.read_bytes()))[0], _PIXELS)
    except BadPicture as error:
        raise SourceError(f"{file}: {error}") from error


def _picture(file: Path) -> None:
    from posewright.sources.images import file_frame

    frame = file_frame(file, _PIXELS)
    if frame.status != "ok":
        raise SourceError(f"{file}: {frame.message}")


def _frames(file: Path) -> None:
    """Read all frames of an image, clip or archive; those that are broken have a status."""
    from posewright.sources import open_source

    with open_source(file, max_pixels=_PIXELS) as frames:
        broken = [frame.message for frame in frames if frame.status != "ok"]
    if broken:
        raise SourceError(f"{file}: {broken[0]}")


def _metadata(file: Path) -> None:
    from posewright.people import People
    from posewright.runtimes.info import ModelInfo

    info = ModelInfo.from_json(file.read_text("utf-8", "surrogateescape"), file)
    info.codec.warps((640, 480), People.of(boxes=[[0, 0, 9, 9]]))
    ModelInfo.from_json(info.to_json(), file)


def _skeleton(file: Path) -> None:
    from posewright.skeletons import Skeleton

    try:
        found = Skeleton.from_dict(json.loads(file.read_bytes())["skeleton"])
    except (KeyError, ValueError, TypeError, RecursionError) as error:  # TypeError: no object
        raise ModelError(f"{file}: {error}") from error
    assert Skeleton.from_dict(found.to_dict()) == found and len(found.flip_index) == len(found)


def _codec(file: Path) -> None:
    from posewright.codecs import codec_from_dict, codec_to_dict

    try:
        data = json.loads(file.read_bytes())["codec"]
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{file}: {error}") from error
    codec = codec_from_dict(data)
    assert codec_from_dict(codec_to_dict(codec)) == codec


def _checkpoint(file: Path) -> None:
    from posewright.checkpoints.files import read_checkpoint

    read_checkpoint(file)


def _model(file: Path) -> None:
    from posewright.models.saving import load_model

    load_model(file)


def _graph(file: Path, runtime: Runtime) -> None:
    """Load a network and look at one image of its own size with it.

    Not so with OpenVINO: it computes some odd graphs wrongly, and then or in the next graph its
    process may crash, which nothing here can catch (docs/reliability.md).
    """
    import numpy as np

    from posewright.runtimes import decoded, load_model

    model = load_model(file, runtime=runtime)
    width, height = model.codec.input_size
    if width * height <= _PIXELS and runtime != "openvino":
        decoded(model, model(np.zeros((1, height, width, 3), np.uint8)))


def _state(file: Path) -> None:
    from posewright.training.state import read_state

    read_state(file)


def _dataset(file: Path, kind: str) -> None:
    from posewright.datasets import open_dataset

    open_dataset(file, kind)


def _checked(file: Path, kind: str) -> None:
    from posewright.datasets.check import check

    check(file, kind)


def _mat(file: Path) -> None:
    from posewright.files.matfile import read_mat

    read_mat(file)


def _yaml(file: Path) -> None:
    from posewright.files.yamlfile import load_yaml

    load_yaml(file)


def _results(file: Path) -> None:
    from posewright.readers import read_results

    _used_up(read_results(file))


def _openpose(file: Path) -> None:
    from posewright.readers import read_results

    _used_up(read_results(file.parent))


def _boxes(file: Path) -> None:
    from posewright.readers import read_boxes

    read_boxes(file).report()


def _truth(file: Path) -> None:
    from posewright.evaluation.coco_files import read_truth

    read_truth(file, 17)


def _predictions(file: Path) -> None:
    from posewright.evaluation.coco_files import read_detections, read_truth

    read_detections(file, read_truth(file.with_name("truth.json"), 17))


def _mot(file: Path) -> None:
    from posewright.evaluation.track_files import read_mot

    read_mot(file, file)


def _tracks(file: Path) -> None:
    from posewright.evaluation.track_files import read_posetrack, read_posetrack_boxes

    read_posetrack(file, file)
    read_posetrack_boxes(file, file)


def _recipe(file: Path) -> None:
    from posewright.recipes.recipe import Recipe

    recipe = Recipe.read(file)
    recipe.to_toml()


def _journal(file: Path) -> None:
    """Go on by the journal of a run of the example, as far as it goes."""
    import numpy as np

    from posewright.errors import OutputError, UsageError
    from posewright.people import Frame
    from posewright.writers.journal import Journal, Provenance

    journal = Journal(file.parent, Provenance({"model": "a"}, {"the processor": "b"}), True)
    try:
        journal.settle(False)
    except (OutputError, UsageError) as error:  # of a later version, of another run
        raise SourceError(f"{file}: {error}") from error
    journal.begin()
    image = np.zeros((168, 96, 3), np.uint8)
    walk = [Frame(image, index, name="a.mp4") for index in range(3)]
    broken = Frame(image, 0, name="b.jpg", status="decode_error")
    windows = (walk[:2], [broken, walk[2]])
    known = [journal.known(window) is not None for window in windows]
    journal.end(complete=False)
    if not all(known):
        raise SourceError(f"{file}: {' '.join(journal.notes)}")


_LAYOUTS = {"simcc": "rtmpose", "dets": "rtmdet", "rtmo": "rtmo"}


def _layout(file: Path) -> None:
    """Open a network without metadata by the names that its user gives."""
    import numpy as np

    from posewright.runtimes import decoded, load_model

    skeleton = "" if file.stem == "dets" else "coco17"
    layout = _LAYOUTS[file.stem]
    model = load_model(file, layout=layout, skeleton=skeleton, runtime="onnxruntime")
    width, height = model.codec.input_size
    if width * height <= _PIXELS:
        decoded(model, model(np.zeros((1, height, width, 3), np.uint8)))


def _receipt(file: Path) -> None:
    from posewright.weights.receipt import compare, read_receipt

    network = file.with_name(file.name.removesuffix(".receipt.json"))
    if read_receipt(network) is None:
        raise ModelError(f"{file}: no receipt")
    compare(network)


def _member(file: Path) -> None:
    from posewright.weights.archive import Member

    out = file.with_name("unpacked.onnx")
    before = {path.name for path in file.parent.iterdir()}
    try:
        Member("net.onnx").unpack(file, out, 1 << 20, "https://example.org/net.zip")
        assert out.stat().st_size <= 1 << 20
    finally:
        out.unlink(missing_ok=True)
    assert {path.name for path in file.parent.iterdir()} == before


SETS = (
    "coco",
    "labelme",
    "cvat",
    "yolo",
    "posetrack",
    "crowdpose",
    "jhmdb",
    "ochuman",
    "halpe",
    "mpii",
    "aic",
    "label-studio",
    "visdrone",
)


def opened(file: Path, kind: str) -> Path:
    """Return what is opened to read a file of a set: the file, or the folder of all of them."""
    if kind in ("labelme", "visdrone"):
        return file.parents[kind == "visdrone"]
    if kind == "yolo" and file.suffix == ".txt":
        return next(folder for folder in file.parents if any(folder.glob("*.yaml")))
    return file


def _set_reader(kind: str, use: Callable[[Path, str], None]) -> Callable[[Path], None]:
    return lambda file: use(opened(file, kind), kind)


READERS: dict[str, Callable[[Path], None]] = {
    "header": _picture_header,
    "picture": _picture,
    "frames": _frames,
    "metadata": _metadata,
    "skeleton": _skeleton,
    "codec": _codec,
    "checkpoint": _checkpoint,
    "model": _model,
    "onnxruntime": partial(_graph, runtime="onnxruntime"),
    "openvino": partial(_graph, runtime="openvino"),
    "state": _state,
    "mat": _mat,
    "yaml": _yaml,
    "results": _results,
    "openpose": _openpose,
    "boxes": _boxes,
    "truth": _truth,
    "predictions": _predictions,
    "mot": _mot,
    "tracks": _tracks,
    "recipe": _recipe,
    "journal": _journal,
    "layout": _layout,
    "receipt": _receipt,
    "member": _member,
    **{f"set-{kind}": _set_reader(kind, _dataset) for kind in SETS},
    **{f"check-{kind}": _set_reader(kind, _checked) for kind in SETS},
}
