"""Serve an HTTP API: poses of images, jobs, live frames and the Open Inference Protocol.

One process on one machine.  It listens on a loopback address; any other --host needs a token.
What it keeps lies in the folder of --data.  Ctrl-C and SIGTERM end it; jobs in progress go on at
the next start.  See docs/serve.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from posewright.cli.common import add_model_options, load_pose
from posewright.errors import one_line

# option, type, metavar, default and help of what limits a server
_LIMITS = (
    ("--keep", float, "DAYS", 7.0, "days after which an ended job and its files are deleted"),
    ("--max-mb", float, "MB", 25.0, "largest request with images"),
    ("--max-video-mb", float, "MB", 2000.0, "largest upload of a job"),
    ("--quota-gb", float, "GB", 20.0, "largest size of everything in --data"),
    ("--max-pixels", int, "N", 25_000_000, "reject images with more than N pixels"),
    ("--workers", int, "N", 1, "images decoded and jobs run at once"),
    ("--queue", int, "N", 64, "images that may wait; more are answered 429"),
    ("--deadline", float, "S", 30.0, "seconds that an image may wait at most"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    where = parser.add_argument_group("where it listens")
    where.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: %(default)s)",
    )
    where.add_argument(
        "--port",
        type=_port,
        default=8000,
        metavar="N",
        help="port, 0 for a free one (default %(default)s)",
    )
    where.add_argument(
        "--token-file", type=Path, metavar="FILE", help="tokens of those who may ask, one a line"
    )
    where.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate for https (PEM)")
    where.add_argument("--tls-key", type=Path, metavar="FILE", help="its key (PEM)")
    where.add_argument(
        "--root-path", default="", metavar="PATH", help="path under which a proxy shows the server"
    )
    _add_limits(parser)
    add_model_options(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what it keeps and takes")
    group.add_argument(
        "--data",
        type=Path,
        default=Path("posewright-data"),
        metavar="DIR",
        help="folder of uploads, jobs and results (default %(default)s)",
    )
    group.add_argument(
        "--library",
        type=Path,
        metavar="DIR",
        help="folder of labelled data and networks that jobs may name; never written",
    )
    for option, kind, metavar, default, told in _LIMITS:
        told += " (default %(default)s)"
        group.add_argument(option, type=kind, default=default, metavar=metavar, help=told)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal ends it; return the exit code."""
    from posewright.extras import need

    need("fastapi", "serve")
    from posewright.serve import Settings, create_app, holding
    from posewright.serve import run as listen
    from posewright.serve.settings import read_tokens

    limits = {option[2:].replace("-", "_") for option, *_ in _LIMITS}
    settings = Settings(
        data=args.data,
        library=args.library,
        host=args.host,
        port=args.port,
        tokens=read_tokens(args.token_file) if args.token_file else (),
        tls_cert=args.tls_cert,
        tls_key=args.tls_key,
        root_path=args.root_path.rstrip("/"),
        **{name: getattr(args, name) for name in limits},
    )
    pose = load_pose(args)
    if pose.detector_note:
        print(f"note: {one_line(pose.detector_note)}", file=sys.stderr)
    called = {"model": _absolute(args.model), "detector": _absolute(args.detector)}
    with holding(settings.data):
        app = create_app(pose, settings, called)
        listen(app, settings, lambda line: print(line, flush=True))
    return 0


def _absolute(names: str) -> str:
    """Return what a job, which runs in another folder, calls a network, or several."""
    from posewright.weights import parted

    found = []
    for name in [names] if os.path.isfile(names) else names.split(","):
        layout, path = parted(name)
        path = os.path.abspath(path) if os.path.isfile(path) else path
        found.append(f"{layout}:{path}" if layout else path)
    return ",".join(found)
