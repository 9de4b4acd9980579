"""Measure movement in tracked results: angles, velocities, lengths, range of motion, symmetry.

RESULTS: whatever posewright reads as results, with identities, as `posewright predict --track` or
`posewright track` writes them.  Angles are those of a person seen from the side; docs/measure.md
has their zeros and signs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from posewright.cli.common import add_out, fraction
from posewright.cli.ranges import add_range_options, chosen_frames
from posewright.errors import UsageError, counted

if TYPE_CHECKING:
    from posewright.measure.mending import Mending
    from posewright.measure.run import Measured
    from posewright.measure.space import Scaling

_AGREED = 0.8  # of the frames have to say the same about the side that a person faces


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="results file or folder")
    add_out(parser)
    parser.add_argument(
        "--save",
        default="csv",
        metavar="LIST",
        help="output formats, comma-separated: csv, and of each person trc (points), mot (angles) "
        "and sto (everything) for OpenSim, html (a report page), svg (plots) (default %(default)s)",
    )
    parser.add_argument(
        "--fps",
        type=float,
        default=30.0,
        metavar="RATE",
        help="frame rate of results without timestamps (default %(default)s)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the measurements of an earlier run"
    )
    _add_people(parser)
    _add_mending(parser)
    _add_scaling(parser)
    add_range_options(parser)
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def _add_people(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("people and angles")
    group.add_argument(
        "--person", type=int, metavar="ID", help="measure this identity only (default: all)"
    )
    group.add_argument(
        "--min-joint-score",
        type=fraction,
        default=0.3,
        metavar="S",
        help="joints with a lower score are missing (default %(default)s)",
    )
    group.add_argument(
        "--facing",
        choices=("auto", "left", "right"),
        default="auto",
        help="side of the image to which people look (default: by feet, way and nose)",
    )
    group.add_argument(
        "--angle",
        action="append",
        default=[],
        metavar="NAME=A,B,C",
        help="an angle of your own: at joint B between A and C, or from segment A-B to C-D as "
        "NAME=A-B,C-D; may be given several times",
    )
    group.add_argument(
        "--convention",
        choices=("sports2d", "isb"),
        default="sports2d",
        help="sign of the knee: flexion is positive, or negative as ISB has it (default "
        "%(default)s)",
    )


def _add_mending(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("gaps, outliers and noise, before anything is measured")
    group.add_argument(
        "--gap",
        type=float,
        metavar="S",
        help="fill gaps of a joint of up to S seconds by straight lines (default: 0.2 with "
        "--filter, else 0)",
    )
    group.add_argument(
        "--outliers",
        choices=("keep", "flag", "mend"),
        default="keep",
        help="what becomes of places far from the median of 7/30 s (Hampel): flag lists them in "
        "gaps.csv, mend also puts the median there (default %(default)s)",
    )
    group.add_argument(
        "--filter",
        metavar="METHOD",
        help="filter of all places: butterworth[:cutoff=6,order=4] or savgol[:window=9,order=2] "
        "(default: none)",
    )


def _mending(args: argparse.Namespace) -> Mending:
    from posewright.measure.mending import Mending
    from posewright.smoothing import GAP, MAX_GAP, parse_smoothing

    smoothing = parse_smoothing(args.filter) if args.filter else None
    gap = args.gap if args.gap is not None else GAP if smoothing else 0.0
    if not 0 <= gap <= MAX_GAP:
        raise UsageError(f"--gap must lie between 0 and {MAX_GAP:g} seconds, not {gap}")
    return Mending(gap, args.outliers, smoothing)


def _add_scaling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("metres and the floor")
    scale = group.add_mutually_exclusive_group()
    scale.add_argument(
        "--height",
        metavar="[ID=]M",
        help="metres of a person, by default of the one seen longest; everybody is then measured "
        "in metres",
    )
    scale.add_argument(
        "--distance",
        metavar="X1,Y1,X2,Y2=M",
        help="two points of the image in pixels and the metres between them, in the plane of the "
        "movement",
    )
    group.add_argument(
        "--floor",
        metavar="auto|DEG,Y",
        help="floor: its angle, positive where it rises to the right, and its pixel row at the "
        "left edge (default: auto with metres, by feet that stand; else none)",
    )


def _scaling(args: argparse.Namespace) -> Scaling:
    from posewright.measure.space import Scaling, parse_distance, parse_floor, parse_height

    height = parse_height(args.height) if args.height is not None else None
    distance = parse_distance(args.distance) if args.distance is not None else None
    floor = parse_floor(args.floor) if args.floor is not None else None
    return Scaling(height, distance, floor or ("auto" if height or distance else None))


def run(args: argparse.Namespace) -> int:
    """Measure; return the exit code."""
    from posewright.measure.own import parse_angle
    from posewright.measure.run import Settings, measure_to

    settings = Settings(
        facing=args.facing,
        convention=args.convention,
        person=args.person,
        min_score=args.min_joint_score,
        mending=_mending(args),
        scaling=_scaling(args),
        own=tuple(map(parse_angle, args.angle)),
    )
    found, files = measure_to(
        args.results,
        args.out,
        save=[name.strip() for name in args.save.split(",")],
        settings=settings,
        fps=args.fps,
        overwrite=args.overwrite,
        **chosen_frames(args),
    )
    for one in found:
        if one.side.share < _AGREED:
            print(
                f"note: person {one.person.id} faces {one.side.facing} in only "
                f"{one.side.share:.0%} of the frames, and in the others angles have the wrong "
                "sign; measure each way by itself with --frames",
                file=sys.stderr,
            )
    if args.json:
        told = {"people": [one.told() for one in found], "files": [str(path) for path in files]}
        print(json.dumps(told, allow_nan=False))
        return 0
    for name, value in found[0].space.facts().items():
        print(f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}")
    for one in found:
        _show(one)
    print(f"done: {counted(len(found), 'person', 'people')}")
    for path in files:
        print(f"  {path}")
    return 0


def _show(one: Measured) -> None:
    """Print the joint angles of a person."""
    person, side = one.person, one.side
    print(
        f"person {person.id}: frames {person.frames[0]} to {person.frames[-1]}, seen in "
        f"{person.seen.sum()}, faces {side.facing} (by {side.by})"
    )
    if one.faults:
        gaps, outliers = (counted(one.count(kind), kind) for kind in ("gap", "outlier"))
        print(f"  {gaps} and {outliers} of joints, see gaps.csv")
    facts = one.facts()
    if facts["steps"]:
        print(f"  {counted(facts['steps'], 'step')}, {facts['cadence_per_min']:.1f} a minute")
    for row in one.rows:
        if row.quantity.endswith("_angle") and row.frames:
            print(
                f"  {row.quantity:22}{row.least:8.1f} to {row.greatest:6.1f} {row.unit}, range "
                f"{row.range:.1f}, mean {row.mean:.1f}"
            )
