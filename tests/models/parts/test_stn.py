"""Spatial transformers: identity at start, there and back, the parallel branch, files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posewright.cli import main
from posewright.codecs import Codec, Heatmap, MoveNet
from posewright.errors import ModelError, UsageError
from posewright.export.export import export
from posewright.losses import HeatmapMSE
from posewright.models import PoseModel, create
from posewright.models.movenet import MoveNetHead
from posewright.models.parts.layers import conv_bn
from posewright.models.parts.stn import SpatialTransformer, in_cells, inverse, sample
from posewright.models.saving import load_model, save_model
from posewright.people import People
from posewright.recipes.groups import STNSettings
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe
from posewright.runtimes.info import Input
from posewright.skeletons import Skeleton
from posewright.training.feed.batches import Batch
from posewright.training.optim import make_optimizer
from posewright.training.processes import World
from posewright.training.stepper import Stepper
from posewright.training.stn_teachers import Parallel, TrueBoxes, centred, in_own_crops
from posewright.training.transfer import start_from
from posewright.warp import Warp

SMALL = {"input_size": (64, 96)}
TURNED = torch.tensor([[[0.8, -0.25, 0.12], [0.2, 0.85, -0.1]]])


def taught(teacher: Parallel | TrueBoxes, views: torch.Tensor, theta: torch.Tensor, targets: dict):
    """The weighted loss of a teacher."""
    return teacher.weight * teacher.criterion(teacher.outputs(views, theta), targets)


def views(model: PoseModel, count: int = 2) -> Tensor:
    w, h = model.codec.input_size
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, h, w, 3), dtype=torch.uint8, generator=rng)


def turned(model: PoseModel, theta: Tensor = TURNED) -> PoseModel:
    """The network with a transformer that always chooses theta, and a little more by the view."""
    assert model.stn is not None
    with torch.no_grad():
        model.stn.theta.bias.copy_(theta.flatten())
        model.stn.theta.weight.normal_(0, 0.1)
    return model


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("simple_baseline_r50", SMALL),
        ("hrnet_w32", {**SMALL, "codec": "dark"}),
        ("lite_hrnet_18", {**SMALL, "codec": "udp"}),
        ("hourglass_4", {"input_size": (64, 64)}),
        ("fastpose_r50_regression", {**SMALL, "skeleton": "coco17"}),
        ("movenet_lightning", SMALL),
    ],
)
def test_an_untrained_transformer_changes_nothing(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    plain, whole = create(name, **options), create(name, stn="light", **options)
    assert not whole.load_state_dict(plain.state_dict(), strict=False).unexpected_keys
    with torch.inference_mode():
        before, after = plain(views(plain)), whole(views(plain))
    assert before.keys() == after.keys()
    for key, maps in before.items():
        assert (after[key] - maps).abs().max() < 1e-4 * maps.abs().max()


def test_the_localisation_network_is_resnet18() -> None:
    stn = create("hrnet_w32", stn=True, **SMALL).stn
    assert stn is not None
    parts = [sum(p.numel() for p in m.parameters()) for m in (stn.localisation, stn.theta)]
    assert parts == [11_176_512, 6 * 512 + 6]  # torchvision's resnet18 without its classifier
    assert not stn.theta.weight.any() and stn.theta.bias.tolist() == [1, 0, 0, 0, 1, 0]


def test_theta_stays_exact_in_half_precision() -> None:
    model = turned(create("movenet_lightning", stn="light", **SMALL))
    assert model.stn is not None
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        theta = model.stn(model.normalise(views(model)))
        maps = model(views(model))
    assert theta.dtype == torch.float32 and all(m.dtype == theta.dtype for m in maps.values())
    assert not torch.equal(theta, theta.bfloat16().float())


def blob(middle: tuple[float, float], sigma: float = 0.08, side: int = 65) -> Tensor:
    axis = torch.linspace(-1, 1, side)
    distance = (axis - middle[0]).square() + (axis - middle[1]).square()[:, None]
    return (distance / (-2 * sigma**2)).exp()[None, None]


@pytest.mark.parametrize(
    ("theta", "most"),
    [(TURNED, 0.044), (torch.tensor([[[0.9, 0.3, 0.2], [-0.3, 0.9, 0.1]]]), 0.05)],
)
def test_gamma_undoes_theta(theta: Tensor, most: float) -> None:
    maps, step = blob((0.25, -0.125)), (2 / 64, 2 / 64)
    there = sample(maps, in_cells(theta, step))
    back = sample(there, in_cells(inverse(theta), step))
    assert (there - maps).abs().max() > 0.5
    assert int(back.argmax()) == int(maps.argmax())
    assert (back - maps).abs().max() < most


def test_gamma_is_the_inverse_and_finite_where_there_is_none() -> None:
    rng = torch.Generator().manual_seed(0)
    theta = torch.randn(20, 2, 3, generator=rng, dtype=torch.float64)
    last = torch.tensor([[[0.0, 0, 1]]]).expand(20, 1, 3)
    both = torch.cat([theta, last], 1) @ torch.cat([inverse(theta), last], 1)
    assert torch.allclose(both, torch.eye(3, dtype=torch.float64).expand(20, 3, 3))
    flat = torch.tensor([[[1.0, 2, 0.5], [2, 4, 0]], [[0, 0, 0], [0, 0, 0]]])
    assert inverse(flat).isfinite().all()


@pytest.mark.parametrize("codec", [Heatmap((96, 128)), Heatmap((96, 128), unbiased=True)])
def test_a_joint_comes_back_to_its_view_pixel(codec: Heatmap) -> None:
    """Views and maps have other cells: what moves a view must move its maps by as many pixels."""
    points = np.random.default_rng(0).uniform(35, 60, (1, 5, 2)).astype(np.float32)
    w, h = codec.input_size
    m = in_cells(TURNED, (2 / (w - 1), 2 / (h - 1)))[0].numpy()
    seen = Warp(m.astype(np.float64), codec.input_size).inverse().points(points)
    codec = replace(codec, refine="dark", sigma=2.0)
    maps = torch.from_numpy(codec.encode(People.of(keypoints=seen))["heatmap"])
    outputs = SpatialTransformer("light").undone({"heatmap": maps}, TURNED, codec)
    found = codec.decode(outputs)[0].keypoints
    assert np.abs(found - points).max() < 0.35  # of a pixel, where a cell has four
    assert np.abs(codec.decode({"heatmap": maps})[0].keypoints - points).max() > 5


def test_what_movenet_points_to_comes_back() -> None:
    codec = MoveNet((96, 128))
    points = np.random.default_rng(1).uniform(35, 60, (1, 5, 2)).astype(np.float32)
    m = in_cells(TURNED, (2 / 95, 2 / 127))[0].numpy().astype(np.float64)
    seen = Warp(m, codec.input_size).inverse().points(points)
    made = codec.encode(People.of(keypoints=seen))
    cells = np.moveaxis(np.indices((32, 24)), 0, -1).reshape(-1, 2)  # y, x of each cell
    at = seen[0, :, ::-1] / 4  # (K, 2) y, x in cells
    regression = (at[:, :, None] - cells.T).reshape(1, 10, 32, 24)  # to the joint from every cell
    offset = np.broadcast_to((at - np.floor(at)).reshape(1, 10, 1, 1), (1, 10, 32, 24))
    arrays = {"regression": regression, "offset": offset}
    maps = {k: torch.from_numpy(made[k]) for k in ("centre", "heatmap")}
    maps |= {k: torch.from_numpy(a.astype(np.float32)) for k, a in arrays.items()}
    outputs = SpatialTransformer("light").undone(maps, TURNED, codec)
    found = codec.decode(outputs)[0].keypoints
    assert np.abs(found - points).max() < 4  # offsets are those of whole cells
    assert np.abs(found - points).mean() < 1


def test_gradients_are_right() -> None:
    torch.manual_seed(0)
    maps = torch.rand(1, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    theta = TURNED.double().requires_grad_()

    def there_and_back(maps: Tensor, theta: Tensor) -> Tensor:
        step = (2 / 4, 2 / 5)
        there = sample(maps, in_cells(theta, step))
        return sample(there, in_cells(inverse(theta), step))

    assert torch.autograd.gradcheck(there_and_back, (maps, theta))


def people(count: int = 4) -> People:
    points = np.random.default_rng(0).uniform(5, 60, (count, 17, 2))
    scores = np.ones((count, 17))
    scores[:, 5:9] = 0
    return People.of(np.tile([0, 0, 64, 96], (count, 1)), None, points, scores)


def test_centred_poses_are_in_the_middle() -> None:
    truth = people()
    moved = centred(truth, Heatmap((64, 96)))
    seen = truth.scores[0] > 0
    middle = (moved.keypoints[:, seen].min(1) + moved.keypoints[:, seen].max(1)) / 2
    assert np.allclose(middle, [32, 48], atol=1e-4)
    shape = truth.keypoints - truth.keypoints[:, :1]
    assert np.allclose(moved.keypoints - moved.keypoints[:, :1], shape, atol=1e-4)
    nobody = truth.replace(scores=np.zeros_like(truth.scores))
    assert np.array_equal(centred(nobody, Heatmap((64, 96))).keypoints, truth.keypoints)


def test_poses_in_their_own_crops_are_those_of_the_box() -> None:
    codec = Heatmap((64, 96))
    picture = People.of(keypoints=people(2).keypoints * 3, boxes=[[9, 9, 199, 199]] * 2)
    whole = [codec.warps((300, 300), picture)[i].people(picture[i]) for i in range(2)]
    bad = Warp(np.array([[0.4, 0, 5], [0, 0.4, -7]]), (64, 96))
    found = in_own_crops(bad.people(picture), codec)
    for i, one in enumerate(whole):
        assert np.allclose(found.keypoints[i], one.keypoints[0], atol=1e-3)
    assert len(in_own_crops(People.empty(17), codec)) == 0


class Maps(nn.Module):
    """A head that gives the backbone's map a codec's names."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"heatmap": x}


def tiny(head: nn.Module, codec: Codec, kind: str = "light") -> PoseModel:
    """Two convolutions to stride 4, with a transformer."""
    torch.manual_seed(0)
    layers = [conv_bn(3, 16, 3, 2, act=nn.ReLU), conv_bn(16, 24, 3, 2)]
    model = PoseModel(nn.Sequential(*layers), head, codec, "coco17", loss=HeatmapMSE())
    model.stn = SpatialTransformer(kind)
    return turned(model).eval()


def heatmaps() -> nn.Module:
    return nn.Sequential(nn.Conv2d(24, 17, 1), Maps())


def prepared(weight: float, labels: str = "centred") -> tuple[Stepper, Batch, PoseModel]:
    """A step's parts for a network with a transformer."""
    model = tiny(heatmaps(), Heatmap((64, 96)))
    recipe = Recipe(weights="trained.safetensors", stn=STNSettings(weight, labels))
    stepper = Stepper(model.train(), make_optimizer(model, recipe), recipe, World())
    return stepper, Batch(views(model, 4), people(), np.arange(4)), model


def test_the_parallel_branch_teaches_the_transformer_alone() -> None:
    stepper, batch, model = prepared(1.0)
    branch = stepper.parallel
    assert branch is not None and branch.network.stn is None and model.stn is not None
    before = {k: v.clone() for k, v in branch.network.state_dict().items()}
    assert before.keys() < model.state_dict().keys()  # nothing of it is in the network
    theta = model.stn(model.normalise(batch.views))
    taught(branch, batch.views, theta, branch.targets(batch, "cpu")).backward()
    for part in (model.stn.theta, model.stn.localisation):
        assert all(p.grad is not None and p.grad.any() for p in part.parameters())
    assert all(p.grad is None for p in branch.network.parameters())
    rest = (model.backbone, model.head)
    assert all(p.grad is None for part in rest for p in part.parameters())
    changing = {k: v.clone() for k, v in model.state_dict().items() if k.endswith("weight")}
    for _ in range(2):
        assert np.isfinite(stepper(batch))
    now = model.state_dict()
    assert not any(torch.equal(now[k], v) for k, v in changing.items())
    after = branch.network.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())


def test_the_weight_of_the_parallel_branch_counts() -> None:
    losses = []
    for weight in (0, 1, 3):
        stepper, batch, _ = prepared(weight)
        losses.append(stepper(batch))
    assert losses[1] > losses[0]
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-3)


def test_the_labels_of_the_parallel_branch_count() -> None:
    losses = []
    for labels in ("centred", "cropped", "boxes"):
        stepper, batch, _ = prepared(1, labels)
        losses.append(stepper(batch))
    assert len({round(loss, 5) for loss in losses}) == 3


def test_boxes_ask_for_the_theta_that_shows_the_labelled_box() -> None:
    """What the transformer chooses by that theta is the codec's crop of the box."""
    model = tiny(heatmaps(), Heatmap((64, 96)))
    box = [[12.0, 20, 50, 60]]
    shown = People.of(keypoints=people(1).keypoints, boxes=box)
    boxes = TrueBoxes(model.codec, 2.0)
    batch = Batch(views(model, 1), shown, np.arange(1))
    theta = boxes.targets(batch, "cpu")["theta"]
    (crop,) = model.codec.warps((64, 96), shown)
    middle = np.array([[[31.5, 47.5]]], np.float32)  # of a view, (0, 0) of theta's points
    seen = (theta[0, :, 2].numpy() + 1) * np.array([31.5, 47.5])
    assert np.allclose(crop.inverse().points(middle)[0, 0], seen, atol=1e-3)
    assert taught(boxes, batch.views, theta, {"theta": theta}) == 0
    assert taught(boxes, batch.views, theta + 1, {"theta": theta}) == 2 * 6
    recipe = Recipe(stn=STNSettings(labels="boxes"))  # without weights
    stepper = Stepper(model.train(), make_optimizer(model, recipe), recipe, World())
    assert isinstance(stepper.parallel, TrueBoxes) and not stepper.notes


def test_boxes_teach_the_transformer() -> None:
    """Rectangles of many places and sizes: after a while theta is nearly that of their boxes."""
    torch.manual_seed(0)
    rng, codec = np.random.default_rng(0), Heatmap((64, 64))
    model = tiny(heatmaps(), codec)
    assert model.stn is not None
    boxes, optimizer = TrueBoxes(codec, 1.0), torch.optim.Adam(model.stn.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        low = rng.uniform(4, 24, (16, 2))
        box = np.concatenate([low, low + rng.uniform(16, 36, (16, 2))], 1).astype(np.float32)
        pixels = np.zeros((16, 64, 64, 3), np.uint8)
        for view, (x0, y0, x1, y1) in zip(pixels, box.astype(int), strict=True):
            view[y0:y1, x0:x1] = 255
        shown = People.of(keypoints=np.zeros((16, 17, 2), np.float32), boxes=box)
        batch = Batch(torch.from_numpy(pixels), shown, np.arange(16))
        theta = model.train().stn(model.normalise(batch.views))
        loss = taught(boxes, batch.views, theta, boxes.targets(batch, "cpu"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.2 * np.mean(losses[:2])


def test_parts_of_a_batch_are_the_batch() -> None:
    losses = []
    for parts in (1, 2):
        stepper, batch, model = prepared(1.0)
        model.eval()  # batch normalisation would see the parts
        stepper.parts = parts
        losses.append(stepper(batch))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_branch_needs_trained_weights_and_a_transformer() -> None:
    model, recipe = tiny(heatmaps(), Heatmap((64, 96))), Recipe()
    stepper = Stepper(model, make_optimizer(model, recipe), recipe, World())
    assert stepper.parallel is None and "give weights=FILE" in stepper.notes[0]
    model.stn = None
    with pytest.raises(ModelError, match="has no spatial transformer"):
        Parallel(model, 1)
    assert Stepper(model, make_optimizer(model, recipe), recipe, World()).notes == []


class Bright(nn.Module):
    """A trained network in all respects: it finds the bright spot of an image."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"heatmap": nn.functional.avg_pool2d(x.mean(1, keepdim=True), 4)}


def test_the_transformer_learns_to_centre() -> None:
    """Main loss and branch together bring spots to the middle, and the network still finds them."""
    torch.manual_seed(0)
    codec, spot = Heatmap((64, 64), refine="dark"), Skeleton("spot", ("spot",))
    pixels = Input("NCHW", "float32", "RGB", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    model = PoseModel(nn.Identity(), Bright(), codec, spot, loss=HeatmapMSE(), pixels=pixels)
    model.stn = SpatialTransformer("light")
    at = np.array([[22.0, 40], [42, 36], [26, 24], [40, 22]], np.float32)
    ys, xs = np.mgrid[:64, :64]
    far = np.square(xs - at[:, 0, None, None]) + np.square(ys - at[:, 1, None, None])
    pictures = np.repeat((255 * np.exp(-far / (2 * 8.0**2)))[..., None], 3, 3).astype(np.uint8)
    truth = People.of(keypoints=at[:, None], boxes=np.tile([0, 0, 64, 64], (4, 1)))
    batch = Batch(torch.from_numpy(pictures), truth, np.arange(4))
    recipe = Recipe(lr=5e-3, weights="trained.safetensors")
    stepper = Stepper(model.train(), make_optimizer(model, recipe), recipe, World())
    for _ in range(100):
        stepper(batch)
    model.eval()
    with torch.inference_mode():
        theta = model.stn(model.normalise(batch.views))
        matrices = in_cells(theta, (2 / 63, 2 / 63)).numpy().astype(np.float64)
        found = codec.decode(model(batch.views))
    moved = [Warp(m, (64, 64)).inverse().points(p) for m, p in zip(matrices, at, strict=True)]
    before, after = (np.abs(np.stack(list(p)) - 32).mean() for p in (at, moved))
    assert after < before / 2
    assert np.abs(np.concatenate([p.keypoints[:, 0] for p in found]) - at).max() < 3


def test_files_keep_the_transformer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_model(create("movenet_lightning", **SMALL), tmp_path / "plain.safetensors")
    model = create("movenet_lightning", stn="light", **SMALL)
    report = start_from(model, tmp_path / "plain.safetensors")
    assert not report.left and all(name.startswith("stn.") for name in report.fresh)
    save_model(turned(model), tmp_path / "net.safetensors")
    again, _ = load_model(tmp_path / "net.safetensors")
    with torch.inference_mode():
        first, second = model(views(model)), again(views(model))
    assert again.options["stn"] == "light"
    assert all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize(
    ("head", "codec", "kind", "format"),
    [
        (heatmaps, Heatmap((64, 96), unbiased=True), "resnet18", "openvino"),
        (
            partial(MoveNetHead, 17, partial(nn.Conv2d, 24, kernel_size=1)),
            MoveNet((64, 96)),
            "light",
            "onnx",
        ),
    ],
)
def test_exported_transformers_agree(
    head: Any, codec: Codec, kind: str, format: Any, tmp_path: Path
) -> None:
    path = tmp_path / ("net.onnx" if format == "onnx" else "net.xml")
    found = export(tiny(head(), codec, kind), path, format=format)
    assert found is not None and found.error < 1e-3 and found.people > 0


@pytest.mark.parametrize("name", ["dekr_w32", "yolo_pose_s6", "simcc_mobilenetv2", "posefix_r50"])
def test_other_networks_are_refused(name: str) -> None:
    with torch.device("meta"), pytest.raises(UsageError, match=f"^{name} cannot have stn: .*top-d"):
        create(name, stn=True)


def test_unknown_localisation_networks_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'resnet18'"):
        create("hrnet_w32", stn="resnet50")
    with pytest.raises(UsageError, match="no option 'stm'; did you mean 'stn'"):
        create("hrnet_w32", stm=True)


def test_the_command_trains_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"input_size": (64, 64)}
    torch.manual_seed(0)
    save_model(create("movenet_fire717", **small), tmp_path / "plain.safetensors")
    assert main(["data", "synth", "-o", str(tmp_path / "set"), "--count", "4"]) == 0
    code = main(
        [
            "train",
            str(tmp_path / "set"),
            "-m",
            "movenet_fire717",
            "--stn",
            "options.stn=light",
            "options.input_size=[64,64]",
            f"weights={tmp_path / 'plain.safetensors'}",
            "batch=2",
            "epochs=1",
            "val_split=0",
            "warmup=0",
            "workers=0",
            "ema=0.9",
            "--device",
            "cpu",
            "-o",
            str(tmp_path / "run"),
        ]
    )
    assert code == 0 and "without its parallel branch" not in capsys.readouterr().out
    model, _ = load_model(tmp_path / "run" / "last.safetensors")
    fresh = create("movenet_fire717", stn="light", **small)
    assert model.state_dict().keys() == fresh.state_dict().keys()  # nothing of the branch
    assert model.stn is not None and model.stn.theta.weight.any()


def test_recipes_take_it() -> None:
    recipe = recipe_for("hrnet_w32").with_overrides(["options.stn=true", "stn.loss_weight=0.5"])
    assert recipe.options == {**recipe_for("hrnet_w32").options, "stn": True}
    assert recipe.stn.loss_weight == 0.5
