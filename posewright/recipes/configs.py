"""Training configurations of AlphaPose, HRNet and mmpose, read as data into a recipe."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posewright.errors import UsageError
from posewright.files.literals import UNREAD, load_assignments
from posewright.files.yamlfile import load_yaml
from posewright.recipes.config_values import Config, joined, optimizer, size_of, start_of
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe

__all__ = ["FromConfig", "read_config"]

# deepen and widen factors of CSPNeXt -> the size of RTMPose
_RTMPOSE: dict[tuple[float | None, float | None], str] = {
    (0.167, 0.375): "t",
    (0.33, 0.5): "s",
    (0.67, 0.75): "m",
    (1.0, 1.0): "l",
    (1.33, 1.25): "x",
}
_BASES = 8  # files that a configuration may build on


@dataclass(frozen=True)
class FromConfig:
    """A recipe from a configuration of another system.

    carried: settings as "key=value".  left: keys of the file that the recipe does not hold.
    notes: what else to know.
    """

    system: str
    recipe: Recipe
    carried: tuple[str, ...]
    left: tuple[str, ...]
    notes: tuple[str, ...]


def read_config(path: Path, model: str = "") -> FromConfig:
    """Read a configuration: YAML of AlphaPose or HRNet, or Python of mmpose, of which none is run.

    model: the network, where the file's is to be replaced.  The settings that the file does not
    state are those of the network's recipe.  SourceError: a file that cannot be read.  UsageError:
    no configuration of these systems, or a network that is not here.
    """
    python = path.suffix == ".py"
    data, notes = _with_bases(path) if python else (load_yaml(path), [])
    config = Config(data, notes, python=python)
    if python and "model" in config.data:
        system, carry = "mmpose", _mmpose
    elif "DATA_PRESET" in config.data:
        system, carry = "AlphaPose", _alphapose
    elif "MODEL" in config.data and "TRAIN" in config.data:
        system, carry = "HRNet", _hrnet
    else:
        raise UsageError(
            f"{path}: no training configuration of AlphaPose (DATA_PRESET), HRNet (MODEL and "
            "TRAIN) or mmpose (model = dict(...)); give the settings as KEY=VALUE"
        )
    made = carry(config)
    name = model or str(made.pop("model", "") or "")
    made.pop("model", None)
    if not name:
        raise UsageError(f"{path}: its network is not here by that name; name one with -m")
    carried = tuple(f"{key}={_text(value)}" for key, value in made.items() if value is not None)
    try:
        recipe = recipe_for(name).with_overrides(
            [each for each in carried if each[:5] != "data="], idle=True
        )
        recipe = replace(recipe, data=(made["data"],)) if made.get("data") else recipe
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return FromConfig(system, recipe, carried, tuple(config.left()), tuple(config.notes))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _augmentation(config: Config, place: str) -> dict[str, Any]:
    """Return what AlphaPose and HRNet call alike."""
    flip = config.get(f"{place}.FLIP", bool)
    joints = config.number(f"{place}.NUM_JOINTS_HALF_BODY")
    half = config.number(f"{place}.PROB_HALF_BODY")
    return {
        "augment.flip": None if flip is None else 0.5 * flip,
        "augment.rotate": config.number(f"{place}.ROT_FACTOR"),
        "augment.scale": config.number(f"{place}.SCALE_FACTOR"),
        "augment.half_body": None if half is None else max(half, 0.0),  # -1 switches it off
        "augment.half_body_joints": None if joints is None or joints < 0 else int(joints),
    }


def _steps(config: Config) -> dict[str, Any]:
    """Return the schedule, which AlphaPose and HRNet name alike."""
    epochs, steps = config.number("TRAIN.END_EPOCH"), config.numbers("TRAIN.LR_STEP")
    return {
        "epochs": None if epochs is None else int(epochs),
        "optimizer": optimizer(config, "TRAIN.OPTIMIZER"),
        "lr": config.number("TRAIN.LR"),
        "gamma": config.number("TRAIN.LR_FACTOR"),
        "milestones": None if steps is None else [int(step) for step in steps],
        "schedule": None if steps is None else "step",
    }


def _hrnet(config: Config) -> dict[str, Any]:
    name, layers = config.get("MODEL.NAME", str), config.number("MODEL.EXTRA.NUM_LAYERS")
    widths = config.numbers("MODEL.EXTRA.STAGE2.NUM_CHANNELS")
    network = None
    if name == "pose_hrnet" and widths:
        network = f"hrnet_w{int(widths[0])}"
    elif name == "pose_resnet" and layers:
        network = f"simple_baseline_r{int(layers)}"
    each, gpus = config.number("TRAIN.BATCH_SIZE_PER_GPU"), config.get("GPUS", (list, tuple, str))
    count = len(gpus.strip("(), ").split(",") if isinstance(gpus, str) else gpus) if gpus else 1
    train_set, root = config.get("DATASET.TRAIN_SET", str), config.get("DATASET.ROOT", str)
    coco = config.get("DATASET.DATASET", str) == "coco" and train_set is not None
    decay = config.number("TRAIN.WD")
    if decay and optimizer(config, "TRAIN.OPTIMIZER") == "adam":
        config.used.discard("TRAIN.WD")  # which HRNet's code does not give to Adam
        decay = None
    return {
        "model": network,
        "options.input_size": size_of(config.numbers("MODEL.IMAGE_SIZE"), height_first=False),
        **_steps(config),
        "weight_decay": decay,
        "momentum": config.number("TRAIN.MOMENTUM"),
        "batch": None if each is None else int(each) * count,
        "workers": config.get("WORKERS", int),
        "weights": start_of(config, "MODEL.PRETRAINED"),
        **_augmentation(config, "DATASET"),
        "data": joined(root, f"annotations/person_keypoints_{train_set}.json") if coco else None,
    }


def _alphapose(config: Config) -> dict[str, Any]:
    kind, layers = config.get("MODEL.TYPE", str), int(config.number("MODEL.NUM_LAYERS") or 50)
    deformed = config.get("MODEL.DCN", dict) is not None
    network = {
        "FastPose": f"fastpose_r{layers}{'_dcn' * deformed}",
        "FastPose_DUC": f"fastpose_duc_r{layers}",
        "SimplePose": f"alphapose_simple_r{layers}",
        "HRNet": "alphapose_hrnet_w32",
    }.get(kind or "")
    each, world = config.number("TRAIN.BATCH_SIZE"), config.number("TRAIN.WORLD_SIZE")
    root = config.get("DATASET.TRAIN.ROOT", str)
    pgpg, steps = config.number("TRAIN.DPG_MILESTONE"), config.numbers("TRAIN.DPG_STEP")
    schedule = {**_steps(config), "restart": 0, "augment.pgpg": ""}
    if pgpg is not None and steps:  # with PGPG, AlphaPose's DPG, the learning rate starts anew
        schedule["milestones"] = [*(schedule["milestones"] or []), *map(int, steps)]
        schedule |= {"restart": int(pgpg), "augment.pgpg": "alphapose"}
        schedule["augment.pgpg_from"] = int(pgpg)
    return {
        "model": network,
        "options.input_size": size_of(config.numbers("DATA_PRESET.IMAGE_SIZE"), height_first=True),
        **schedule,
        "batch": None if each is None else int(each * (world or 1)),
        "weights": start_of(config, "MODEL.PRETRAINED", "MODEL.TRY_LOAD"),
        **_augmentation(config, "DATASET.TRAIN.AUG"),
        "data": joined(root, config.get("DATASET.TRAIN.ANN", str)),
        "images": joined(root, config.get("DATASET.TRAIN.IMG_PREFIX", str)),
    }


def _with_bases(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the assignments of a file over those of the files beside it that it builds on."""
    values, notes = load_assignments(path), []
    bases = values.pop("_base_", [])
    whole: dict[str, Any] = {}
    for base in ([bases] if isinstance(bases, str) else bases)[:_BASES]:
        if isinstance(base, str) and _beside(path, base):
            inner = load_assignments(path.parent / base)
            inner.pop("_base_", None)
            whole = _merged(whole, inner)
        elif isinstance(base, str):
            notes.append(f"_base_ {base} is not followed: it does not lie beside the file")
    return _merged(whole, values), notes


def _beside(path: Path, name: str) -> bool:
    """Tell whether a name is that of another file in the folder of `path`."""
    other = Path(os.path.normpath(path.parent / name))
    return other.parent == Path(os.path.normpath(path.parent)) and other.is_file() and other != path


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two dictionaries as mmengine merges them, tables within them included."""
    made = dict(below)
    for key, value in above.items():
        inner = made.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        whole = both and not value.get("_delete_")
        made[key] = _merged(inner, value) if whole else value  # type: ignore[arg-type]
    return made


def _mmpose(config: Config) -> dict[str, Any]:
    """Return the settings of mmpose 1.x; of 0.x, on which ViTPose and others build, its own."""
    if "optim_wrapper" not in config.data and "data_cfg" in config.data:
        return _mmpose_0(config)
    epochs = config.number("train_cfg.max_epochs")
    batch = config.number("auto_scale_lr.base_batch_size")
    each = config.number("train_dataloader.batch_size")
    if each is not None and batch is None:
        config.notes.append(f"batch_size={int(each)} counts the crops of one device: give batch=N")
    codec = {
        "UDPHeatmap": "udp",
        "MSRAHeatmap": "dark" if config.get("codec.unbiased", bool) else "heatmap",
    }.get(config.get("codec.type", str) or "")
    if codec == "udp" and config.get("codec.heatmap_type", str) == "combined":
        codec = "udp_combined"
    data = "train_dataloader.dataset"
    root, epochs_between = config.get(f"{data}.data_root", str), "train_cfg.val_interval"
    return {
        "model": _mmpose_network(config),
        "options.input_size": size_of(config.numbers("codec.input_size"), height_first=False),
        "options.codec": codec,
        "epochs": None if epochs is None else int(epochs),
        "optimizer": optimizer(config, "optim_wrapper.optimizer.type"),
        "lr": config.number("optim_wrapper.optimizer.lr"),
        "weight_decay": config.number("optim_wrapper.optimizer.weight_decay"),
        "clip": config.number("optim_wrapper.clip_grad.max_norm"),
        **_schedulers(config),
        "batch": None if batch is None else int(batch),
        "workers": config.get("train_dataloader.num_workers", int),
        "eval_every": config.get(epochs_between, int),
        "weights": start_of(config, "load_from"),
        "data": joined(root, config.get(f"{data}.ann_file", str)),
        "images": joined(root, config.get(f"{data}.data_prefix.img", str)),
    }


def _mmpose_0(config: Config) -> dict[str, Any]:
    epochs, each = config.number("total_epochs"), config.number("data.samples_per_gpu")
    steps, rise = config.numbers("lr_config.step"), config.number("lr_config.warmup_iters")
    if each is not None:
        config.notes.append(f"samples_per_gpu={int(each)} counts one device's crops: give batch=N")
    return {
        "model": _mmpose_network(config),
        "options.input_size": size_of(config.numbers("data_cfg.image_size"), height_first=False),
        "epochs": None if epochs is None else int(epochs),
        "optimizer": optimizer(config, "optimizer.type"),
        "lr": config.number("optimizer.lr"),
        "weight_decay": config.number("optimizer.weight_decay"),
        "clip": config.number("optimizer_config.grad_clip.max_norm"),
        "schedule": None if steps is None else "step",
        "milestones": None if steps is None else [int(step) for step in steps],
        "warmup": None if rise is None else int(rise),
        "warmup_factor": config.number("lr_config.warmup_ratio"),
        "workers": config.get("data.workers_per_gpu", int),
        "weights": start_of(config, "load_from"),
    }


def _mmpose_network(config: Config) -> str | None:
    """Return our name of the backbone and the head of a configuration."""
    body, head = config.get("model.backbone.type", str), config.get("model.head.type", str)
    if config.get("model.keypoint_head.type", str) == "TopdownHeatmapSimpleHead":  # of 0.x
        head = "HeatmapHead"
    depth = int(config.number("model.backbone.depth") or 0)
    widths = config.numbers("model.backbone.extra.stage2.num_channels")
    arch = config.get("model.backbone.arch", (str, dict))
    size = str(arch)[:1] if isinstance(arch, str) else ""
    factors = (
        config.number("model.backbone.deepen_factor"),
        config.number("model.backbone.widen_factor"),
    )
    if (body, head) == ("CSPNeXt", "RTMCCHead"):
        known = _RTMPOSE.get(factors)
        return f"rtmpose_{known}" if known else None
    return {
        ("HRNet", "HeatmapHead"): f"hrnet_w{int(widths[0])}" if widths else None,
        ("ResNet", "HeatmapHead"): f"simple_baseline_r{depth}",
        ("SEResNet", "HeatmapHead"): f"seresnet_{depth}",
        ("ResNet", "RegressionHead"): f"deeppose_r{depth}",
        ("ResNet", "RLEHead"): f"rle_r{depth}",
        ("ResNet", "SimCCHead"): f"simcc_r{depth}",
        ("mmpretrain.VisionTransformer", "HeatmapHead"): f"vitpose_{size}" if size else None,
    }.get((body or "", head or ""))


def _schedulers(config: Config) -> dict[str, Any]:
    """Return warm-up and schedule of mmengine's list of schedulers."""
    made: dict[str, Any] = {}
    found = config.get("param_scheduler", list) or []
    for each in found:
        known = each if isinstance(each, Mapping) else {}
        rule = Config({k: v for k, v in known.items() if v is not UNREAD})
        kind, end = rule.get("type", str), rule.get("end", int)
        if kind == "LinearLR" and end is not None and rule.get("by_epoch", bool) is False:
            made |= {"warmup": end, "warmup_factor": rule.number("start_factor")}
        elif kind == "MultiStepLR" and (steps := rule.numbers("milestones")):
            made |= {"schedule": "step", "milestones": [int(step) for step in steps]}
            made |= {"gamma": rule.number("gamma")}
        elif kind == "CosineAnnealingLR" and rule.get("begin", int) is not None:
            made |= {"schedule": "cosine", "cosine_from": rule.get("begin", int)}
            least, lr = rule.number("eta_min"), config.number("optim_wrapper.optimizer.lr")
            made["final_factor"] = None if least is None or not lr else round(least / lr, 9)
        else:
            config.notes.append(f"the scheduler {kind} is not carried over: see schedule=")
    return made
