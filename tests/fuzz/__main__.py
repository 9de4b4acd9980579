"""Damage files of every kind at random and run what reads them, for some minutes.

    python -m tests.fuzz --minutes 20 [--seed N] [--kinds LIST] [--found DIR]

Every case must end as `bounded.Outcome.fault` says.  A file that does not is kept in DIR; it goes
into tests/corpus/KIND/ once it is mended.  The table says for each kind what the worst case took:
seconds of the processor, the peak of memory, and how far above the memory before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from posewright.machine import cpu_name

from .bounded import Bounded
from .kinds import KINDS
from .making import examples
from .trying import Trial, fuzz

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=20.0, metavar="N")
    parser.add_argument("--seed", type=int, default=None, metavar="N", help="default: the time")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), metavar="DIR")
    parser.add_argument("--kinds", default="", metavar="LIST", help=f"of {', '.join(KINDS)}")
    args = parser.parse_args()
    kinds = args.kinds.split(",") if args.kinds else tuple(KINDS)
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"no kinds {sorted(unknown)}")
    seed = int(time.time()) if args.seed is None else args.seed
    with tempfile.TemporaryDirectory() as folder:
        trial, good = Trial(), examples(Path(folder) / "good")
        end = time.monotonic() + 60 * args.minutes
        out = Path(folder) / "out"
        with Bounded() as run:
            fuzz(run, good, out, seed, trial, args.found, lambda: time.monotonic() > end, kinds)
    print(trial.table())
    print(f"seed {seed}: {trial.summary()}, on {cpu_name()}")
    for fault in trial.faults:
        print(f"  {fault}")
    sys.exit(bool(trial.faults))
