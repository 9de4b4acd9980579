"""Names of joints that a person typed, and that are almost those of other joints."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

from posewright.datasets.naming import canonical
from posewright.errors import SourceError
from posewright.skeletons import get_skeleton, list_skeletons

__all__ = ["check_spelling"]

_SHORT, _LONG = 4, 8  # letters of a word from which on one edit, and two, are a slip
_LONGER = 12  # the latter where the side is misspelt, too
_OFTEN = 10  # a joint that is named so many times as often as another is the one that was meant
_SHOWN = 5


def check_spelling(
    names: Iterable[str], canon: Mapping[str, str], confirmed: Iterable[str], where: object
) -> None:
    """Raise a SourceError that lists the names which are almost the name of another joint.

    names: as the labels have them, once for each point.  canon: their spelling, as of
    `naming.spellings`.  confirmed: names that are meant as they stand.  Names count as misspelt
    that are a slip away from a joint of a published skeleton, or from one that the labels name ten
    times as often.
    """
    counts = Counter(names)
    joints = Counter[str]()
    for name, count in counts.items():
        joints[canon[name]] += count
    sure = _known() | {s for name in confirmed for s in (name, canonical(name))}
    slips = []
    for name, count in counts.items():
        joint = canon[name]
        if joint not in sure and name not in sure and (meant := _meant(joint, joints)):
            often = "once" if count == 1 else f"{count} times"
            slips.append((name, f"{name!r} occurs {often}; did you mean {meant}?"))
    if slips:
        told = " ".join(text for _, text in slips[:_SHOWN])
        options = " ".join(f"--joint {name!r}" for name, _ in slips[:_SHOWN])
        raise SourceError(
            f"{where}: {told} Correct the labels, or confirm the names: posewright data convert "
            f"... {options} (of labelme, also by lines of its labels.txt)"
        )


def _meant(joint: str, joints: Mapping[str, int]) -> str | None:
    often = [name for name, count in joints.items() if count >= _OFTEN * joints[joint]]
    return next((name for name in [*sorted(_known()), *often] if _is_slip(joint, name)), None)


@cache
def _known() -> frozenset[str]:
    """Return the joints of the published skeletons."""
    return frozenset(j for name in list_skeletons() for j in get_skeleton(name).joints)


def _is_slip(name: str, meant: str) -> bool:
    """Tell whether a few letters are wrong: the sides agree, or one of them is itself misspelt."""
    if name == meant or re.findall(r"\d+", name) != re.findall(r"\d+", meant):
        return False
    (side, rest), (other, word) = _side(name), _side(meant)
    if side == other:
        length = max(len(rest), len(word))
        return _edits(rest, word) <= (length >= _SHORT) + (length >= _LONG)
    alone = [text.replace("_", "") for text in (name, meant)]
    slips = (len(name) >= _LONG) + (len(name) >= _LONGER)
    return not (side and other) and _edits(*alone) <= slips


def _side(name: str) -> tuple[str, str]:
    side, _, rest = name.partition("_")
    return (side, rest) if side in ("left", "right") and rest else ("", name)


def _edits(one: str, other: str) -> int:
    """Return the number of letters inserted, left out, replaced or exchanged with the next one."""
    if abs(len(one) - len(other)) > 2:
        return 3
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2]:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]
