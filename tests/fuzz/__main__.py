"""Damage files of every kind at random and run the verbs that read them, for some minutes.

    python -m tests.fuzz --minutes 20 [--seed N] [--found DIR]

Every case must end as `bounded.Outcome.fault` says.  A file that does not is kept in DIR; it goes
into tests/corpus/KIND/ once it is mended.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from .trying import Trial, fuzz

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, metavar="N")
    parser.add_argument("--seed", type=int, default=None, metavar="N", help="default: the time")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), metavar="DIR")
    args = parser.parse_args()
    seed = int(time.time()) if args.seed is None else args.seed
    end = time.monotonic() + 60 * args.minutes
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial()
        fuzz(Path(folder), seed, trial, args.found, lambda: time.monotonic() > end)
    print(trial.table())
    print(f"seed {seed}: {trial.cases} cases, {len(trial.faults)} faults")
    for fault in trial.faults:
        print(f"  {fault}")
    sys.exit(bool(trial.faults))
