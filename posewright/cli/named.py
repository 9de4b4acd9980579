"""Options of networks: pairs of published ones, whether they are fetched, where they run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

from posewright.errors import UsageError, convert_first

__all__ = ["add_body", "add_device", "add_fetching", "add_mode", "detectors", "fetching", "network"]

_FOREIGN = (".pth", ".pt", ".ckpt", ".pth.tar")  # how checkpoints of other programs are called


def network(text: str) -> str:
    """Return the name of a network as it was typed; of FILE.py:NAME the file is run for it.

    Only for words of the command line: nothing that is read from a file may come here.
    """
    if text.endswith(".py"):
        raise UsageError(f"{text}: the file may hold several networks; name one: {text}:NAME")
    if text.endswith(_FOREIGN) and os.path.isfile(text):
        raise UsageError(f"{text} is not a posewright file; {convert_first(text)}")
    if not text.rpartition(":")[0].endswith(".py"):
        return text
    from posewright.models.own import load_own

    return load_own(text)


def detectors(text: str) -> str | list[str]:
    """Return the name of a detector as it was typed, or the names of several."""
    from posewright.weights import parted

    names = [name.strip() for name in text.split(",")]
    return text if len(names) == 1 or os.path.exists(parted(text)[1]) else names


def add_mode(group: argparse._ActionsContainer) -> None:
    """Add what chooses a pair of pose network and detector."""
    group.add_argument(
        "--mode",
        choices=("lightweight", "balanced", "performance"),
        help="in place of -m: a published pose network and its detector, downloaded once",
    )


def add_body(group: argparse._ActionsContainer) -> None:
    """Add what the networks of a mode find."""
    group.add_argument(
        "--body",
        choices=("17", "26", "133", "hand"),
        help=(
            "what the networks of --mode find: 17 joints, 26 with feet, 133 with hands and face, "
            "or hands alone (default: 17; alone it means --mode balanced)"
        ),
    )


def add_fetching(group: argparse._ActionsContainer, offline: bool = True) -> None:
    """Add where downloads are kept, and whether the network may be used."""
    group.add_argument(
        "--home",
        metavar="DIR",
        help="folder of downloaded networks (default: POSEWRIGHT_HOME, else the user's cache)",
    )
    if offline:
        group.add_argument(
            "--offline",
            action="store_true",
            help="never access the internet; a network that is not here is an error",
        )
        group.add_argument(
            "--require-checksum",
            action="store_true",
            help="refuse a published network whose SHA-256 nobody states",
        )


def add_device(group: argparse._ActionsContainer, default: str | None = "auto") -> None:
    """Add where the networks run."""
    group.add_argument(
        "--device",
        default=default,
        metavar="DEVICE",
        help=(
            "cpu, cuda, tensorrt, directml, coreml or rocm, several GPUs with numbers, as cuda:1; "
            "with torch: cpu, cuda or mps (default: cpu; with torch a GPU where there is one); an "
            "unavailable device is an error"
        ),
    )


@contextmanager
def fetching(args: argparse.Namespace) -> Iterator[None]:
    """Set what the options of `add_fetching` say for the time of a command and its processes."""
    home = getattr(args, "carried", None) or getattr(args, "home", None)
    wanted = {"POSEWRIGHT_HOME": home} if home else {}
    if getattr(args, "offline", False):
        wanted["POSEWRIGHT_OFFLINE"] = "1"
    if getattr(args, "require_checksum", False):
        wanted["POSEWRIGHT_REQUIRE_CHECKSUM"] = "1"
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
