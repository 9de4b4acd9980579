"""Every verb and action of the command line on small inputs, for tests of what holds for all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import av
import cv2

from posewright.cli.demo import CLIP
from tests.helpers.walker import save, walker

# Runs commands in one process; prints their exit codes and what each says on stderr.  The clip of
# the demo has 100 frames, of which few are enough here.
RUN = """
import contextlib, io, json, sys
from pathlib import Path
from posewright.cli import demo, main
demo.CLIP = Path(sys.argv[2])
done = []
for command in json.loads(sys.argv[1]):
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(told):
        try:
            code = main(command)
        except SystemExit as stop:
            code = stop.code
    done.append([code, said.getvalue()])
print(json.dumps(done))
"""


@dataclass(frozen=True)
class Command:
    """One command line.

    words: {in} is the folder of `make_inputs`, {out} a fresh folder.  code: how it exits.
    needs: the optional package without which it ends in its line and exit code 4.
    """

    words: str
    code: int = 0
    needs: str = ""

    def args(self, inputs: Path, out: Path) -> list[str]:
        """Return the arguments for two folders."""
        return [
            word.replace("{in}", str(inputs)).replace("{out}", str(out))
            for word in self.words.split()
        ]


_TRAIN = (
    "train {in}/set/annotations.json -m movenet_fire717 options.input_size=[64,64] epochs=1 "
    "batch=4 workers=2 val_split=0.3 -o "
)
_SET = "{in}/set/annotations.json"
COMMANDS: dict[str, list[Command]] = {
    "demo": [Command("demo -o {out}/demo")],
    "predict": [
        Command("predict {in}/people.jpg -o {out}/image --save jsonl,csv,images,coco"),
        Command("predict {in}/clip.mp4 --track --smooth one-euro -o {out}/clip"),
        Command("predict {in}/people.jpg -o {out}/rows --save parquet", needs="pyarrow"),
        Command("predict {in}/people.jpg --runtime openvino -o {out}/ov", needs="openvino"),
        Command("predict {in}/people.jpg --runtime onnxruntime -o {out}/ort"),
        Command("predict {in}/people.jpg -m {in}/net.safetensors -o {out}/net", needs="torch"),
        Command(
            "predict {in}/people.jpg -m movenet_fire717 -w {in}/net.safetensors -o {out}/named",
            needs="torch",
        ),
    ],
    "track": [
        Command("track {in}/results.json -o {out}/track"),
        Command("track {in}/results.json -o {out}/rows2 --save parquet", needs="pyarrow"),
    ],
    "view": [Command("view {in}/results.json --images {in}/set/images -o {out}/drawn")],
    "measure": [Command("measure {in}/walk/poses.jsonl -o {out}/measures")],
    "refine": [
        Command(
            "refine {in}/results.json --images {in}/set/images -m {in}/posefix.onnx "
            "-o {out}/refined"
        )
    ],
    "models": [
        Command("models list"),
        Command("models list --published"),
        Command("models info movenet-thunder"),
        Command("models info hrnet_w32", needs="torch"),
        Command("models info {in}/net.safetensors", needs="torch"),
        Command(
            "models convert {in}/net.pth --as movenet_fire717 -o {out}/net.safetensors",
            needs="safetensors",
        ),
        Command("models pull hrnet_w32-coco-256x192 --offline", 2, needs="safetensors"),
        Command("models verify hrnet_w32-coco-256x192", 4),
        Command("models path hrnet_w32-coco-256x192", 4),
        Command("models pull rtmpose-m --offline", 4),
        Command("models remove rtmpose-m", 4),
        Command("models prune"),
    ],
    "data": [
        Command("data check " + _SET),
        Command("data stats " + _SET),
        Command(f"data view {_SET} -o {{out}}/view --count 2"),
        Command(f"data convert {_SET} {{out}}/yolo --to yolo"),
        Command(f"data split {_SET} -o {{out}}/split"),
        Command("data synth -o {out}/synth --count 2"),
        Command(f"data to-bin {_SET} -m movenet-thunder -o {{out}}/bins"),
    ],
    "train": [
        Command("train -m hrnet_w32 --show"),
        Command(_TRAIN + "{out}/board tensorboard=true", needs="torch"),
        Command(_TRAIN + "{out}/two --devices 2", needs="torch"),
        Command("train {in}/recipe.toml -o {out}/again", needs="torch"),
    ],
    "fit": [
        Command(f"fit boxes {_SET} --jitter 0.1 -o {{out}}/offsets.json"),
        Command(f"fit nms {_SET} --detections {{in}}/results.json -o {{out}}/nms.json"),
        Command(
            f"fit nms {_SET} --detections {{in}}/results.json -o {{out}}/into.json "
            "--into {in}/into/embedded.onnx",
            needs="onnx",
        ),
        Command(f"fit rescore {_SET} --detections {{in}}/results.json -o {{out}}/oks.safetensors"),
    ],
    "eval": [
        Command(f"eval coco --ann {_SET} --predictions {{in}}/results.json"),
        Command(
            f"eval coco --ann {_SET} --predictions {{in}}/results.json --refine {{in}}/posefix.onnx"
        ),
        Command(
            f"eval coco --ann {_SET} -m {{in}}/net.safetensors --report {{out}}/eval "
            "-o {out}/eval.json",
            needs="torch",
        ),
    ],
    "compare": [
        Command(f"compare movenet-thunder --data {_SET} --limit 2 -o {{out}}/compare"),
        Command(
            f"compare {{in}}/net.safetensors --data {_SET} --limit 2 -o {{out}}/compare2",
            needs="torch",
        ),
    ],
    "study": [Command("study {in}/study.toml -o {out}/study", needs="torch")],
    "export": [
        Command(
            "export {in}/net.safetensors --format openvino --no-check -o {out}/net.xml",
            needs="torch",
        ),
    ],
    "serve": [
        Command("serve --host 0.0.0.0 --data {out}/served", 2, needs="fastapi"),
        Command("serve --data {in}/people.jpg", 4, needs="fastapi"),
    ],
    "bench": [Command("bench {in}/clip.mp4 --count 1")],
    "doctor": [Command("doctor")],
    "schema": [Command("schema"), Command("schema parquet")],
}


def make_inputs(folder: Path) -> Path:
    """Write what the commands read, all of it small; needs torch."""
    import torch

    from posewright.models import create
    from posewright.models.saving import save_model
    from posewright.recipes.lookup import recipe_of
    from posewright.weights import EMBEDDED
    from tests.helpers.refiners import small_refiner

    _pictures(folder)
    _labels(folder)
    torch.manual_seed(0)
    model = create("movenet_fire717", input_size=(64, 64))
    save_model(model, folder / "net.safetensors")
    torch.save(create("movenet_fire717").state_dict(), folder / "net.pth")
    settings = {"options": {"input_size": [64, 64]}, "epochs": 1, "batch": 4}
    recipe = recipe_of("movenet_fire717", folder / "set" / "annotations.json", settings)
    (folder / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    train = (folder / "set" / "annotations.json").as_posix()
    (folder / "study.toml").write_text(
        f'[data]\ntrain = "{train}"\nval = "last:3"\n[recipe]\nepochs = 1\nbatch = 4\n'
        'options.input_size = [64, 64]\n[[variant]]\nname = "one"\nnetwork = "movenet_fire717"\n',
        encoding="utf-8",
    )
    small_refiner(folder / "posefix.onnx")
    (folder / "into").mkdir()  # the one input that is written
    (folder / "into" / "embedded.onnx").write_bytes(EMBEDDED["movenet-thunder"].path.read_bytes())
    return folder


def _pictures(folder: Path) -> None:
    """Write an image of three people and seven frames of the clip that it is from."""
    with av.open(str(CLIP)) as file, av.open(str(folder / "clip.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 272, 480, "yuv420p"
        for number, frame in zip(range(7), file.decode(video=0), strict=False):
            small = frame.reformat(272, 480, "yuv420p")
            if not number:
                cv2.imwrite(str(folder / "people.jpg"), small.to_ndarray(format="bgr24"))
            small.pts = None
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))


def _labels(folder: Path) -> None:
    """Write a set of stick people, and its labels as the results of a perfect network."""
    from posewright.datasets.formats.coco_out import write_labels
    from posewright.datasets.synthetic import synth

    write_labels(synth(folder / "set", 10, 0), folder / "set" / "annotations.json")
    labels = json.loads((folder / "set" / "annotations.json").read_text(encoding="utf-8"))
    results = [
        {key: one[key] for key in ("image_id", "category_id", "keypoints", "bbox")} | {"score": 0.9}
        for one in labels["annotations"]
    ]
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    save(folder / "walk", {1: walker(20)[0]})
