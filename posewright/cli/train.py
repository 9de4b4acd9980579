"""Train a network of the zoo on labelled images; an interrupted run resumes exactly.

DATA: labelled data sets (see posewright data), joined by the names of their keypoints, or the
recipe.toml of an earlier run, which repeats that run.  KEY=VALUE changes a setting of the network's
recipe, for instance lr=1e-3 epochs=50 augment.rotate=30 options.input_size=[192,256] val=last:400;
see docs/training.md.  Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 save a checkpoint and the network and
exit with 128 + the signal number (130, 143, 129, 138); --resume continues.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from posewright.cli.debugging import wanted
from posewright.cli.named import network
from posewright.cli.renamed import EarlierOption
from posewright.errors import ModelError, UsageError, counted, one_line

if TYPE_CHECKING:
    import subprocess

    from posewright.recipes.recipe import Recipe
    from posewright.train import Outcome

_OVERRIDE = re.compile(r"[A-Za-z_][\w.]*=")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "items",
        nargs="*",
        metavar="DATA|KEY=VALUE",
        help="labelled data sets, and recipe settings to change",
    )
    parser.add_argument(
        "-m",
        "--model",
        metavar="NAME",
        help=(
            "network to train: of the zoo (see posewright models list), or of your own file, "
            "FILE.py:NAME"
        ),
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the run (default: runs/NAME-1, -2, ...)",
    )
    parser.add_argument(
        "--output", action=EarlierOption, dest="out", type=Path, help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--from-config",
        type=Path,
        metavar="FILE",
        help=(
            "training configuration of AlphaPose or HRNet (.yaml) or mmpose (.py), read as data "
            "into the recipe; what it cannot carry over is named (see --show)"
        ),
    )
    parser.add_argument("--resume", type=Path, metavar="DIR", help="resume the run in DIR")
    parser.add_argument(
        "--device",
        default="auto",
        metavar="DEVICE",
        help="cpu, cuda or cuda:1 (default: a GPU where there is one)",
    )
    parser.add_argument(
        "--devices", type=int, default=1, metavar="N", help="number of processes, one device each"
    )
    parser.add_argument(
        "--stn",
        action="store_true",
        help="put a spatial transformer in front of the network (options.stn=true)",
    )
    parser.add_argument("--show", action="store_true", help="print the full recipe and exit")
    parser.add_argument("--quiet", action="store_true", help="print only the final line")


def run(args: argparse.Namespace) -> int:
    """Train; return the exit code."""
    if args.stn:
        args.items.insert(0, "options.stn=true")  # options.stn=light may follow
    recipe, folder = _recipe(args)
    if args.show:
        _note_no_recipe(recipe.model)
        print(recipe.to_toml(), end="")
        return 0
    if args.devices > 1 and "WORLD_SIZE" not in os.environ:
        return _several(args, folder)
    from posewright.train import train

    def say(line: str) -> None:
        if not args.quiet:
            print(line, flush=True)

    outcome = train(
        recipe, folder, resume=args.resume is not None, device=args.device, progress=say
    )
    if int(os.environ.get("RANK", 0)) == 0:
        print("\n".join(_lines(outcome)))
    if os.environ.get("POSEWRIGHT_MEETING"):
        _end(outcome.exit_code)
    return outcome.exit_code


def _note_no_recipe(model: str) -> None:
    """Say on stderr where the settings are another network's."""
    from posewright.recipes.lookup import has_recipe

    if not has_recipe(model):
        print(
            f"note: no recipe is published for {model}: these are the settings of HRNet",
            file=sys.stderr,
        )


def _end(code: int) -> NoReturn:
    """End a process of `--devices`, whose work is done, at once.

    Where threads of gloo are still there when the interpreter takes its modules down, C++ aborts.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _recipe(args: argparse.Namespace) -> tuple[Recipe, Path]:
    """Return the recipe that the arguments ask for, and the folder of the run."""
    from dataclasses import replace

    from posewright.recipes.lookup import names, recipe_for
    from posewright.recipes.recipe import Recipe

    overrides = [item for item in args.items if _OVERRIDE.match(item)]
    data = [item for item in args.items if item not in overrides]
    model = network(args.model) if args.model else ""
    if args.from_config is not None:
        if args.resume is not None or any(item.endswith(".toml") for item in data):
            raise UsageError("--from-config makes a new recipe; leave out --resume and recipe.toml")
        recipe = _configured(args.from_config, model, data).with_overrides(overrides)
        return recipe, args.out or _fresh_folder(recipe.model)
    if args.resume is not None:
        if data or model == args.model or args.out:  # a file of the user's own is named again
            raise UsageError("--resume DIR resumes with the data, network and folder of that run")
        return _resumed(args.resume, model).with_overrides(overrides), args.resume
    if len(data) == 1 and data[0].endswith(".toml"):
        recipe = Recipe.read(Path(data[0]))
        if model and model != recipe.model:
            raise UsageError(f"{data[0]} is a recipe of {recipe.model}, not of {model}")
    elif not model:
        meant = next((word for word in data if word in names()), "")
        told = f"did you mean -m {meant}?" if meant else "posewright models list shows the names"
        raise UsageError(f"no network given; add -m NAME ({told})")
    else:
        recipe = replace(recipe_for(model), data=tuple(data))
    recipe = recipe.with_overrides(overrides)
    return recipe, args.out or _fresh_folder(recipe.model)


def _configured(file: Path, model: str, data: list[str]) -> Recipe:
    """Return the recipe of another system's configuration; notes say what was carried over."""
    from dataclasses import replace

    from posewright.recipes.configs import read_config

    found = read_config(file, model)
    lines = [f"{file}: a configuration of {found.system}, trained as {found.recipe.model}"]
    lines.append(f"carried over: {' '.join(found.carried) or 'nothing'}")
    lines += [f"not carried over: {', '.join(found.left)}"] if found.left else []
    for line in [*lines, *found.notes]:
        print(f"note: {one_line(line)}", file=sys.stderr)
    if data:  # with the images of its own
        return replace(found.recipe, data=tuple(data), images="")
    return found.recipe


def _resumed(folder: Path, model: str) -> Recipe:
    """Return the recipe of a run; model: of a file of the user's own that was named, or ""."""
    from posewright.recipes.recipe import Recipe

    file = folder / "recipe.toml"
    if not file.is_file():
        told = "holds no recipe.toml" if folder.is_dir() else "no such folder"
        raise ModelError(f"{folder}: {told}; give the folder of a run")
    recipe = Recipe.read(file)
    if model and model != recipe.model:
        raise UsageError(f"{folder} is a run of {recipe.model}, not of {model}")
    return recipe


def _fresh_folder(name: str) -> Path:
    number = 1
    while (Path("runs") / f"{name}-{number}").exists():
        number += 1
    return Path("runs") / f"{name}-{number}"


def _several(args: argparse.Namespace, folder: Path) -> int:
    """Start one process a device, as torchrun does; return the worst exit code."""
    import subprocess
    import tempfile

    from posewright.extras import installed, missing
    from posewright.machine import NO_MODULES_HERE

    if not installed("torch"):  # one line, where every process would print it
        raise missing("torch", "train")
    command = [sys.executable, "-m", "posewright", "train", *args.items, "--device", args.device]
    if args.resume is not None:
        command += ["--resume", str(args.resume)]
    else:
        command += ["-o", str(folder)]
    command += ["-m", args.model] if args.model else []
    command += ["--quiet"] if args.quiet else []
    with tempfile.TemporaryDirectory(prefix="posewright-") as meeting:
        alike = {**_loopback(), **os.environ, "WORLD_SIZE": str(args.devices)}
        # a file, because torch's server for this would listen on every address of the machine
        alike["POSEWRIGHT_MEETING"] = str(Path(meeting) / "processes")
        alike |= NO_MODULES_HERE | ({"POSEWRIGHT_DEBUG": "1"} if wanted(args) else {})
        places = [{k: str(rank) for k in ("RANK", "LOCAL_RANK")} for rank in range(args.devices)]
        return _wait([subprocess.Popen(command, env={**alike, **place}) for place in places])


def _loopback() -> dict[str, str]:
    """Return what keeps gloo's sockets on this machine; it would look the machine's name up."""
    import socket

    names = [name for _, name in socket.if_nameindex()] if os.name == "posix" else []
    name = next((name for name in ("lo", "lo0") if name in names), None)
    return {"GLOO_SOCKET_IFNAME": name} if name else {}


def _wait(children: list[subprocess.Popen[bytes]]) -> int:
    """Wait for all processes; stop them when a signal asks to, and the rest where one has failed.

    Returns the exit code of one that failed, or else of the signal.
    """
    import subprocess

    from posewright.training.signals import listening

    with listening() as stop:
        told = False
        while any(child.poll() is None for child in children):
            failed = any(child.poll() not in (None, 0) for child in children)
            if not told and (failed or stop.number):
                told = True
                for child in children:
                    # a terminal sends Ctrl-C to them all; a second one would keep them from saving
                    child.terminate()
            try:
                children[0].wait(0.1) if children[0].poll() is None else children[-1].wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    codes = [child.returncode for child in children]
    failed_with = [code for code in codes if 0 < code < 128]
    stopped_by = [128 - code if code < 0 else code for code in codes if code]
    return next(iter([*failed_with, *filter(None, [stop.exit_code]), *stopped_by]), 0)


def _lines(outcome: Outcome) -> list[str]:
    place = outcome.place
    best = ""
    if outcome.best is not None:
        best = f", best {outcome.metric} {outcome.best:.4g} after epoch {place.best_epoch}"
    state = "stopped" if outcome.exit_code > 128 else "done"
    skipped = [f"posewright: {line}" for line in outcome.skipped]
    epochs, steps = counted(place.epoch, "epoch", "epochs"), counted(place.step, "step", "steps")
    return [*skipped, f"{state}: {epochs}, {steps}{best}: {outcome.folder}"]
