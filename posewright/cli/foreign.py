"""Options by the names that other systems give them: accepted, or answered with ours.

An option is accepted where meaning and unit are the same.  Where they are not, nothing is guessed:
the command ends with exit code 2 and the name of the option here.  docs/coming-from/ has both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from posewright.errors import UsageError

__all__ = ["OPTIONS", "Option", "translated"]

_RUNS = ("predict",)
_TRAINS = ("train",)
_WITH_NETWORKS = ("predict", "eval", "bench")


@dataclass(frozen=True)
class Option:
    """What an option of another system is here.

    verbs: those that accept or answer it.  words: ours, with "{}" for its value; an option
    without "{}" has no value.  else_: what to say where words cannot stand for it.
    """

    system: str
    verbs: tuple[str, ...]
    words: tuple[str, ...] = ()
    else_: str = ""


_ALPHAPOSE, _FORK, _HRNET, _MMPOSE = "AlphaPose", "a fork of AlphaPose", "HRNet", "mmpose"
_CONFIG = (
    "posewright train --from-config FILE reads it; elsewhere -m names the network, whose file "
)
_CONFIG += "states its configuration"
_MEMORY = "batches are chosen by the memory of the device; leave it out"
_SAVES = "give the formats in one option, as in --save alphapose,images,video"
_NO_WINDOW = "no window is opened; --save images or --save video draws into files"
_EPOCHS_SETTING = (
    "KEY=VALUE without dashes changes a setting of the recipe, as in lr=1e-3 epochs=50"
)
_DEVICE = "-1 is --device cpu, and 0 is --device cuda:0 (train: --devices N is a number of devices)"
_ALL = ("predict", "track", "train", "eval", "export", "bench", "compare")

# By the name without dashes, with _ for each - of it; two options of one name have two entries.
OPTIONS: dict[str, tuple[Option, ...]] = {
    # AlphaPose: scripts/demo_inference.py, train.py and validate.py
    "cfg": (Option(f"{_ALPHAPOSE} and {_HRNET}", _ALL, else_=_CONFIG),),
    "config": (Option(_MMPOSE, _ALL, else_=_CONFIG),),
    "checkpoint": (Option(f"{_ALPHAPOSE} and {_MMPOSE}", _WITH_NETWORKS, ("--model", "{}")),),
    "indir": (Option(_ALPHAPOSE, _RUNS, ("{}",)),),
    "image": (Option(_ALPHAPOSE, _RUNS, ("{}",)),),
    "list": (Option(_ALPHAPOSE, _RUNS, ("{}",)),),
    "video": (Option(_ALPHAPOSE, _RUNS, ("{}",)),),
    "webcam": (Option(_ALPHAPOSE, _RUNS, ("camera:{}",)),),
    "outdir": (Option(_ALPHAPOSE, _RUNS, ("--out", "{}")),),
    "detfile": (Option(_ALPHAPOSE, _RUNS, ("--boxes", "{}")),),
    "pose_flow": (Option(_ALPHAPOSE, _RUNS, ("--tracker", "poseflow")),),
    "showbox": (Option(_ALPHAPOSE, _RUNS, ("--draw-boxes",)),),
    "pose_track": (
        Option(_ALPHAPOSE, _RUNS, else_="--tracker appearance --reid FILE tracks by appearance"),
    ),
    "save_img": (Option(_ALPHAPOSE, _RUNS, else_=_SAVES),),
    "save_video": (Option(_ALPHAPOSE, _RUNS, else_=_SAVES),),
    "format": (
        Option(
            _ALPHAPOSE,
            _RUNS,
            else_="coco is --save alphapose, cmu --save alphapose-cmu, open --save alphapose-open",
        ),
    ),
    "vis": (Option(_ALPHAPOSE, _RUNS, else_=_NO_WINDOW),),
    "vis_fast": (
        Option(_ALPHAPOSE, _RUNS, else_="--save images and --save video draw; leave it out"),
    ),
    "detbatch": (Option(_ALPHAPOSE, _RUNS, else_=_MEMORY),),
    "posebatch": (Option(_ALPHAPOSE, _RUNS, else_=_MEMORY),),
    "qsize": (Option(_ALPHAPOSE, _RUNS, else_=_MEMORY),),
    "sp": (Option(_ALPHAPOSE, _RUNS, else_="there is one process; leave it out"),),
    "profile": (Option(_ALPHAPOSE, _RUNS, else_="posewright bench measures the speed"),),
    "gpus": (Option(_ALPHAPOSE, _ALL, else_=_DEVICE),),
    "gpu": (Option(_MMPOSE, _ALL, else_=_DEVICE),),
    "flip_test": (Option(_ALPHAPOSE, ("predict", "eval", "compare"), ("--flip",)),),
    "oks_nms": (Option(_ALPHAPOSE, ("eval",), ("--nms", "oks")),),
    "ppose_nms": (Option(_ALPHAPOSE, ("eval",), ("--nms", "ppose")),),
    # of training
    "batch_size": (
        Option(
            _FORK,
            _TRAINS,
            else_="batch=N, which counts the crops over all devices and not those of one",
        ),
        Option(_HRNET, ("eval",), ("--batch", "{}")),
        Option(_HRNET, _RUNS, else_=_MEMORY),
    ),
    "end_epoch": (Option(_FORK, _TRAINS, ("epochs={}",)),),
    "epochs": (Option("other systems", _TRAINS, ("epochs={}",)),),
    "lr": (Option("other systems", _TRAINS, ("lr={}",)),),
    "seed": (Option(_MMPOSE, _TRAINS, ("seed={}",)),),
    "pretrained": (Option(_FORK, _TRAINS, ("weights={}",)),),
    "try_load": (Option(_FORK, _TRAINS, ("weights={}",)),),
    "load_from": (Option(_MMPOSE, _TRAINS, ("weights={}",)),),
    "num_workers": (Option(_ALPHAPOSE, _TRAINS, ("workers={}",)),),
    "workers": (Option(_HRNET, _TRAINS, ("workers={}",)),),
    "nThreads": (Option(_ALPHAPOSE, _TRAINS, ("workers={}",)),),
    "board": (Option(_ALPHAPOSE, _TRAINS, ("tensorboard=true",)),),
    "amp": (Option(_MMPOSE, _TRAINS, ("precision=fp16",)),),
    "exp_id": (Option(_ALPHAPOSE, _TRAINS, else_="-o DIR names the folder of the run"),),
    "work_dir": (Option(_MMPOSE, _TRAINS, ("--out", "{}")),),
    "auto_scale_lr": (
        Option(_MMPOSE, _TRAINS, else_="state lr= for the batch= that you train with"),
    ),
    "cfg_options": (Option(_MMPOSE, _TRAINS, else_=_EPOCHS_SETTING),),
    "launcher": (Option(_MMPOSE, _TRAINS, else_="--devices N starts a process for each device"),),
    "modelDir": (Option(_HRNET, _TRAINS, else_="-o DIR holds weights and logs of a run"),),
    "logDir": (Option(_HRNET, _TRAINS, else_="-o DIR holds weights and logs of a run"),),
    "dataDir": (
        Option(_HRNET, _TRAINS, else_="name the labelled data as DATA, images=DIR if needed"),
    ),
    # mmpose: demo/inferencer_demo.py and demo/topdown_demo_with_mmdet.py
    "input": (Option(_MMPOSE, _RUNS, ("{}",)),),
    "pose2d": (Option(_MMPOSE, _RUNS, else_="-m names the network (posewright models list)"),),
    "det_model": (Option(_MMPOSE, _RUNS, else_="-d names the detector (posewright models list)"),),
    "bbox_thr": (Option(_MMPOSE, _RUNS, ("--det-score", "{}")),),
    "kpt_thr": (Option(_MMPOSE, _RUNS, ("--draw-threshold", "{}")),),
    "draw_bbox": (Option(_MMPOSE, _RUNS, ("--draw-boxes",)),),
    "vis_out_dir": (Option(_MMPOSE, _RUNS, else_="--save images -o DIR writes drawn images"),),
    "pred_out_dir": (Option(_MMPOSE, _RUNS, else_="--save coco -o DIR writes results"),),
    "output_root": (Option(_MMPOSE, _RUNS, ("--out", "{}")),),
}


def translated(
    words: Sequence[str], verb: str, known: Collection[str]
) -> tuple[list[str], list[str]]:
    """Return a verb's words with ours for those of other systems, and a line about each.

    known: the options of the verb, which mean what they mean here.  UsageError: an option without
    a counterpart of the same meaning and unit; it says what to give instead.
    """
    made: list[str] = []
    told: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        found = _found(name, verb) if name.startswith("--") and name not in known else None
        if word == "--":
            return [*made, word, *rest], told
        if found is None:
            made.append(word)
            continue
        if found.else_:
            raise UsageError(f"{name} is an option of {found.system}; here: {found.else_}")
        takes = any("{}" in each for each in found.words)
        if takes and not equals:
            if not rest or rest[0].startswith("--"):
                raise UsageError(f"{name}: give a value; here it is {_ours(found, 'VALUE')}")
            value = rest.pop(0)
        elif equals and not takes:
            raise UsageError(f"{name} has no value; here it is {_ours(found, '')}")
        made += [each.replace("{}", value) for each in found.words]
        told.append(f"{name} of {found.system} is {_ours(found, value)} here")
    return made, told


def _ours(option: Option, value: str) -> str:
    return " ".join(option.words).replace("{}", value)


def _found(name: str, verb: str) -> Option | None:
    entries = OPTIONS.get(name.removeprefix("--").replace("-", "_"), ())
    return next((entry for entry in entries if verb in entry.verbs), None)
