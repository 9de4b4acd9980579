"""Write posewright/weights/onnx.tsv from a list of the ONNX files that authors publish.

Usage: python tools/list_onnx.py PUBLISHED.tsv posewright/weights/onnx.tsv

PUBLISHED.tsv: a row per file with its addresses, sums, layout, licences and score.  Two kinds of
aliases are left out: names of networks of the zoo, which have underscores, and names of files,
which must stay an error where the file is missing.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

COLUMNS = (
    "name aliases kind addresses member archive_sha256 archive_bytes sha256 bytes sources width "
    "height layout skeleton joints colour mean std data code_licence licence terms score measured"
).split()
KINDS = {"pose one-stage": "one-stage", "detector hand": "hand-detector"}
SKELETONS = {
    "coco25 of easy_ViTPose (NOT body25)": "vitpose25",
    "face106 (LaPa)": "face106",
    "ap10k17 (NOT coco17)": "ap10k17",
}
RENAMED = {"movenet-thunder": "movenet-thunder-hub", "movenet-lightning": "movenet-lightning-hub"}
LEFT_OUT = ("blazepose", "mediapipe-ssd")  # layouts that nothing here reads


def main(source: Path, target: Path) -> None:
    rows = list(csv.DictReader(source.read_text(encoding="utf-8").splitlines(), delimiter="\t"))
    listed = [entry(row) for row in rows if row["layout"] not in LEFT_OUT]
    lines = ["\t".join(COLUMNS), *("\t".join(row[c] for c in COLUMNS) for row in listed)]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def entry(row: dict[str, str]) -> dict[str, str]:
    mirrors = [word for word in row["mirrors"].split() if word.startswith("https://")]
    licence, _, rest = row["weights_licence"].partition(" declared; ")
    zipped = row["url"].endswith(".zip")
    return {
        **row,
        "name": RENAMED.get(row["name"], row["name"]),
        "aliases": " ".join(a for a in row["aliases"].split() if not left_out(a)),
        "kind": KINDS.get(row["kind"], row["kind"].split()[0]),
        "addresses": " ".join([row["url"], *mirrors]),
        "member": row["archive_member"].rpartition("/")[2].partition(" ")[0] if zipped else "",
        "sources": row["independent_sources"] or "0",
        "width": row["input_w"],
        "height": row["input_h"],
        "skeleton": SKELETONS.get(row["skeleton"], row["skeleton"]),
        "data": re.sub(r" \((not stated|by file name).*?\)", "", row["training_data"]),
        "licence": re.sub(r" \(.*\)", "", licence),
        "terms": terms(row["training_data"], bool(rest)),
        "measured": re.sub(
            r"( \(by (rtmlib README|\d+)\)|, by rtmlib README)", "", row["score_dataset"]
        ).replace(" (mmpose table says at 640; the file is 416)", ", at 640 px"),
    }


def terms(data: str, doubted: bool) -> str:
    """Return what is known of the training data beside the licence of the weights."""
    if doubted:
        return "HumanArt annotations are non-commercial"
    return "trained on research data" if re.search("WholeBody|UBody|cocktail", data) else ""


def left_out(alias: str) -> bool:
    return alias.endswith(".onnx") or bool(
        re.fullmatch(r"(rtmpose|rtmo|vitpose|movenet)_\w+", alias)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
