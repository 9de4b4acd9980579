"""Write docs/models.md: every network of the zoo, its size, its parity and whose files it loads.

Usage: python tools/write_models_page.py [FIXTURES]

FIXTURES: the folder of parity fixtures (default ../shared/parity); without it the column of
relative errors stays empty.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import torch

from posewright.checkpoints import foreigns
from posewright.models import PoseModel, create, variants
from posewright.models.counting import count

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tools.network_constants import COLUMNS, table  # noqa: E402

HEAD = """# Models

Written by `python tools/write_models_page.py`. Build any of them with
`posewright.models.create(NAME, ...)`, run one with `posewright predict -m NAME -w FILE`, see all of
one with `posewright models info NAME`.

- **GMACs**: multiply-accumulates of one view / 10^9; the tables of AlphaPose and mmpose call this
  GFLOPs. **GFLOPs**: as HRNet's tables count: multiply-accumulates / 1024^3, those of transposed
  convolutions once for each output cell and tap. `posewright models info` prints both, as `gmacs`
  and `gflops`.
- **parity**: relative error of our outputs against the original network on weights made by a rule
  from the original's tensor names (`python benchmarks/parity.py FILE...`), the largest of several;
  "family" where no fixture of this size is at hand but others of the family agree.
- **loads**: whose checkpoints `posewright models convert FILE --as ...` reads for it.
- **published**: what the authors state; not measured here.

| network | file | parameters | view | GMACs | GFLOPs | codec | parity | loads | published | paper |
|---|---|---|---|---|---|---|---|---|---|---|
"""

CONSTANTS = """
## What no weight's shape shows

A network with another epsilon, activation or number of heads loads the same weights without a word
and computes something else. These are the constants of ours, as `tools/network_constants.py` reads
them off the built networks; `posewright/models/constants.tsv` holds the table, and a test compares.
Layers are called FAMILY:VARIANT.

- **norms**: kind and epsilon; of transformers, whether layer norms stand before layers, inside of
  the shortcut, or after shortcuts. **activations**: the most frequent one, then the others with how
  often they are called. **attention**: heads, and what scores are divided by.
- **convolutions**: size / stride of those that do not keep the size; padding if it is not half of
  the size. **pools**: size / stride. **resizing**: mode; "corners" is align_corners=True.
- **numbers**: what tensors are added to, multiplied by or limited to in between, sizes of maps and
  roots of widths included. **pixels**: order, mean, deviation. **codec**: its settings that differ
  from the defaults. Dropout and drop path are off.
- **read in**: "fixture" where the outputs of the original are at hand and compared (parity, above),
  otherwise the file or text in which the constants were read; "not compared" where nothing else
  confirms them.

"""


def constants_section() -> str:
    """Return the table of constants, one line for all networks that have the same."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, row in table().items():
        groups[(*(row[column] for column in COLUMNS), row["read"])].append(f"`{name}`")
    head = f"| networks | {' | '.join(COLUMNS)} | read in |\n|{'---|' * (len(COLUMNS) + 2)}\n"
    lines = (f"| {', '.join(names)} | {' | '.join(values)} |" for values, names in groups.items())
    return CONSTANTS + head + "\n".join(lines) + "\n"


def parity_module() -> ModuleType:
    """Import benchmarks/parity.py."""
    spec = importlib.util.spec_from_file_location("parity", ROOT / "benchmarks" / "parity.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["parity"] = module
    spec.loader.exec_module(module)
    return module


def loads() -> tuple[dict[str, set[str]], dict[tuple[str, str], str]]:
    """Return the families of each network, and the network of each (family, variant)."""
    families: dict[str, set[str]] = defaultdict(set)
    networks: dict[tuple[str, str], str] = {}
    for family in foreigns().values():
        for variant, build in family.variants.items():
            with torch.device("meta"):
                model = build()
            if isinstance(model, PoseModel):
                families[model.name].add(family.name)
                networks[family.name, variant] = model.name
    return families, networks


def errors(folder: Path, networks: dict[tuple[str, str], str]) -> dict[str, float]:
    """Return the largest relative error of each network over the fixtures of a folder."""
    parity = parity_module()
    worst: dict[str, float] = {}
    own = ROOT / "tests" / "parity"
    for path in sorted([*folder.glob("*.json.gz"), *own.glob("*.json.gz")]):
        report = parity.check(path)
        print(report, file=sys.stderr, flush=True)
        system, _, variant = report.name.partition("__")
        try:
            family, original = parity.known(system, variant)
        except KeyError:  # the reference of a network that is not in the zoo
            continue
        name = networks.get((family.name, original))
        if name and report.passed:
            worst[name] = max(worst.get(name, 0.0), report.error)
    return worst


def main(folder: Path) -> int:
    """Write the page."""
    families, networks = loads()
    worst = errors(folder, networks) if folder.is_dir() else {}
    rows = []
    for name, variant in variants(None).items():
        with torch.device("meta"):
            model = create(name)
        counts = count(model)
        width, height = model.codec.input_size
        known = sorted(families[name])
        shown = f"{worst[name]:.0e}" if name in worst else ("family" if known else "")
        rows.append(
            f"| `{name}` | {variant.family} | {counts.parameters:,} | {width}x{height} | "
            f"{counts.gmacs:.2f} | {counts.gflops:.2f} | {model.codec.kind} | {shown} | "
            f"{', '.join(known)} | {variant.published} | {variant.paper} |"
        )
    (ROOT / "docs" / "models.md").write_text(
        HEAD + "\n".join(rows) + "\n" + constants_section(), encoding="utf-8"
    )
    print(f"{len(rows)} networks")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "parity"))
