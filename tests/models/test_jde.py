"""JDE: names, boxes and features, and people followed by them on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from posewright.checkpoints import convert, foreign
from posewright.checkpoints.tables.darknet import _layers
from posewright.cli import main
from posewright.codecs.anchor_boxes import JdeBoxes
from posewright.errors import ModelError
from posewright.models import PoseModel, create
from posewright.models.darknet import Conv
from posewright.models.saving import describe, load_model, save_model
from posewright.people import Frame, People
from posewright.pipeline.embedder import Embedder
from posewright.runtimes import load_model as open_model

# sections of the configuration file that are convolutions, after those of Darknet-53's shortcuts
SECTIONS = (
    *(i for i in range(75) if i == 0 or i not in (4, 8, 11, *range(15, 37, 3), *range(40, 62, 3))),
    *range(75, 82),
    *(83, 87, *range(90, 97), 98, 102, *range(105, 112), 113),
)
CONVOLUTIONS = [i for i in SECTIONS if i not in (65, 68, 71, 74)]


def as_published(model: PoseModel) -> dict[str, torch.Tensor]:
    state = {"classifier.weight": torch.zeros(7, 512), "classifier.bias": torch.zeros(7)}
    for number in (85, 100, 115):
        for loss in ("s_c", "s_r", "s_id"):
            state[f"module_list.{number}.yolo_{number}.{loss}"] = torch.zeros(1)
    layers = _layers("jde_1088x608")
    every = dict(model.named_modules())
    for (name, kind), number in zip(layers, CONVOLUTIONS, strict=True):
        for key, value in every[name].state_dict().items():
            part, _, rest = key.partition(".") if isinstance(kind, Conv) else ("conv", "", key)
            word = {"conv": "conv", "bn": "batch_norm"}[part]
            state[f"module_list.{number}.{word}_{number}.{rest}"] = value
    return state


def test_their_names_become_ours() -> None:
    with torch.device("meta"):
        model = create("jde_576x320")
        made = convert(as_published(model), foreign("jde"), model)
    assert set(made) == set(model.state_dict())
    assert made["head.levels.2.embed.weight"].shape == (512, 128, 3, 3)


def test_each_size_has_its_anchors() -> None:
    sizes = ("1088x608", "864x480", "576x320")
    with torch.device("meta"):
        codecs = [create(f"jde_{size}").codec for size in sizes]
    assert ["x".join(map(str, c.input_size)) for c in codecs] == list(sizes)
    assert [c.anchors[:2] for c in codecs] == [(128, 384), (102, 305), (85, 255)]
    assert [c.anchors[-2:] for c in codecs] == [(23, 68), (18, 54), (16, 45)]


def test_anchors_of_a_cell_share_its_features() -> None:
    codec = JdeBoxes((64, 64), anchors=(20.0,) * 24)
    cells = codec.cells
    assert len(cells) == 4 * 84 == len(codec.locations)
    assert cells[:8].tolist() == [0, 1, 2, 3] * 2 and cells[16:19].tolist() == [4, 5, 6]
    rows = np.zeros((1, 336, 5), np.float32)
    embedding = np.eye(84, dtype=np.float32)[None]
    rows[0, 1 * 4 + 3] = [0.5, 0.5, 1, 1, 0.9]  # second anchor of the last cell of stride 32
    rows[0, 16 + 5] = [0.5, 0.5, 1, 1, 0.9]  # first anchor, stride 16, second row, second column
    outputs = {"rows": rows, "embedding": embedding}
    (people,) = codec.decode(outputs)
    # a third that no box of the network overlaps: the first cell at stride 8 that has its place
    boxes = np.concatenate([people.boxes + 1, [[-6.5, -6.5, 13.5, 13.5]]]).astype(np.float32)
    edges = np.array([0, 0, 64, 64], np.float32)
    found = codec.features_of(outputs, boxes, edges)
    assert sorted(found.argmax(1)[:2].tolist()) == [3, 4 + 5] and found[2].argmax() == 20
    wide = np.array([[0, 0, 64, 20]], np.float32)  # of a person who reaches over both edges
    rows[0, 16 + 2] = [0.5, 0.5, 20, 1, 0.9]
    assert codec.features_of(outputs, wide, edges).argmax() == 4 + 2
    broken = np.where(embedding == 1, np.float32(np.nan), 0)
    assert not codec.features_of({**outputs, "embedding": broken}, boxes, edges).any()
    with pytest.raises(ModelError, match="features of 83 cells, but a view has 84"):
        codec.decode({**outputs, "embedding": embedding[:, 1:]})
    assert codec.features_of({**outputs, "rows": rows * 0}, boxes, edges).shape == (3, 84)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that finds people at stride 32, in anchors other than the second."""
    torch.manual_seed(0)
    model = create("jde_576x320", input_size=(96, 64))
    with torch.no_grad():
        for level, place in zip(model.head.levels, (8.0, -8.0, -8.0), strict=True):
            level.box.weight.zero_()
            score = torch.tensor([0, 0, 0, 0, -place, place])
            level.box.bias.copy_(score.repeat(4))
            level.box.bias[6:].view(3, 6)[:, 5] = -9
    path = tmp_path_factory.mktemp("jde") / "jde.safetensors"
    save_model(model, path, describe(model, licence="MIT", origin="a test", training_data="none"))
    return path


def test_a_frame_is_seen_once_for_all_its_people(file: Path) -> None:
    model = open_model(file)
    embed = Embedder(model)
    rng = np.random.default_rng(0)
    frame = Frame(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    (view,) = model.codec.warps(frame.size, None)
    (people,) = model.codec.decode(model(view.image(frame.image)[None]))
    assert len(people)
    features = embed(frame, people)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-4)
    away = People.of(boxes=[[1, 1, 9, 9]])
    assert embed(frame, away).any() and len(embed(frame, people[:0])) == 0


def test_one_file_detects_and_follows(file: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    picture = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
    for n in range(3):
        cv2.imwrite(str(tmp_path / "in" / f"{n}.png"), picture)
    words = ["--min-score", "0", "--nms", "none", "--save", "jsonl", "--tracker", "appearance"]
    words += ["-d", str(file), "--reid", str(file), "-o", str(tmp_path / "out")]
    assert main(["predict", str(tmp_path / "in"), *words]) == 0
    head, *rows = map(json.loads, (tmp_path / "out/poses.jsonl").read_text("utf-8").splitlines())
    assert head["reid"]["name"] == head["detector"]["name"] == "jde_576x320"
    ids = [sorted(person["id"] for person in row["people"]) for row in rows]
    assert ids[0] and ids == [ids[0]] * 3 and -1 not in ids[0]
    assert load_model(file)[1].codec.kind == "jde_boxes"
