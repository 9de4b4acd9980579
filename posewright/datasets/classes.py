"""Classes of labels: which of them is read, of any layout and of COCO's categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posewright.errors import SourceError, UsageError, nearest
from posewright.files.paths import normal
from posewright.files.values import BROKEN, image_id

__all__ = ["PERSON", "Category", "Classes", "class_title", "coco_category", "folded", "majority"]

PERSON = "person"
_HOW = "--class NAME (class_name=NAME)"


class Classes:
    """Counts the annotations of each class, and chooses the classes that are read.

    "" stands for annotations without a class.  Names are compared without regard to case, to spaces
    around them and to the form of Unicode.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._joints: Counter[str] = Counter()
        self._declared: list[str] = []

    def declare(self, name: str, joints: bool) -> None:
        """Add a class that the file names, whether or not anything is labelled with it."""
        self.counts[name] += 0
        if joints and name not in self._declared:
            self._declared.append(name)

    def add(self, name: str, joints: bool, count: int = 1) -> None:
        """Count `count` annotations of a class; joints: they have some."""
        self.counts[name] += count
        self._joints[name] += count * joints

    def choose(self, wanted: str | None, where: object) -> tuple[str, ...]:
        """Return the classes to read, in the spelling of the file.

        wanted: a name, or several with commas between.  Without it: "person" where there is such a
        class, else the only class with joints.  UsageError: a name that does not exist, or several
        classes have joints and none is "person".
        """
        names = [name for name in self.counts if name]
        if wanted and (names or folded(wanted) != PERSON):
            return tuple(n for word in _words(wanted, names) for n in self._named(word, where))
        people = tuple(name for name in names if folded(name) == PERSON)
        with_joints = [name for name in names if self._joints[name]]
        if people or (with_joints and self._joints[""] > max(self._joints[n] for n in names)):
            return people
        alone = not self._joints[""] and len(self._declared) == 1  # nobody is labelled yet
        found = with_joints or (self._declared if alone else [])
        if len(found) > 1:
            counts = ", ".join(f"{name} {self.counts[name]}" for name in found)
            raise UsageError(
                f"{where} labels several classes with joints, and none is called {PERSON} "
                f"({counts}); choose one with {_HOW}"
            )
        return tuple(found)

    def unnamed(self, wanted: str | None, chosen: tuple[str, ...]) -> bool:
        """Tell whether annotations without a class are read: as people, not as another class."""
        return not wanted or class_title(chosen) == PERSON

    def remarks(self, chosen: tuple[str, ...], where: object) -> tuple[str, ...]:
        """Return one line that says what is left out because of its class; none where all is read.

        chosen: what `choose` returned.
        """
        others = {n: c for n, c in self.counts.items() if n and c and n not in chosen}
        if not others:
            return ()
        listed = ", ".join(f"{count} x {name}" for name, count in list(others.items())[:10])
        more = f" and {len(others) - 10} more classes" if len(others) > 10 else ""
        why = (
            f"the class read is {class_title(chosen)}"
            if chosen
            else f"no class is called {PERSON}, and no other has joints"
        )
        return (f"{where}: skipped {listed}{more}: {why}; {_HOW} chooses another",)

    def _named(self, word: str, where: object) -> list[str]:
        """Return the classes of that name."""
        names = [name for name in self.counts if name]
        found = [name for name in names if folded(name) == folded(word)]
        if not names:
            raise UsageError(f"{where} names no classes; leave class {word!r} out")
        if not found:
            counts = ", ".join(f"{name} {self.counts[name]}" for name in names[:20])
            raise UsageError(
                f"{where} has no class {word!r}{nearest(word, names)}; it has: {counts}"
            )
        return found


def class_title(chosen: tuple[str, ...]) -> str:
    """Return what the chosen classes are called in outputs: "person" where there is no other."""
    return ",".join(PERSON if folded(n) == PERSON else n for n in chosen) or PERSON


def folded(name: str) -> str:
    """Return a name as it is compared."""
    return normal(name).strip().casefold()


def _words(wanted: str, names: list[str]) -> list[str]:
    """Return the names in a list with commas; a class whose own name has a comma is one."""
    if folded(wanted) in map(folded, names):
        return [wanted]
    return [word.strip() for word in wanted.split(",") if word.strip()] or [wanted]


def majority(counts: Mapping[int, int], where: object, what: str) -> int:
    """Return the number that more than half have; a SourceError with the counts without one."""
    best = max(counts, key=lambda number: counts[number])
    if 2 * counts[best] <= sum(counts.values()):
        listed = ", ".join(f"{count} x {number}" for number, count in sorted(counts.items()))
        raise SourceError(f"{where}: inconsistent number of {what} ({listed}); make them equal")
    return best


@dataclass(frozen=True)
class Category:
    """The categories of a COCO file that are read.

    title: their name.  entries: as the file has them; empty where it names none or none is read.
    ids: their ids; None where the file names none, so that all people are read.  sole: the id of
    the only category of the file.  known: all ids.  number: what stands for them in results.
    remarks: what is left out.  nameless: number of categories without an id.
    """

    title: str
    entries: tuple[Mapping[str, Any], ...]
    ids: frozenset[int | str] | None
    sole: int | str | None
    known: frozenset[int | str]
    number: int
    remarks: tuple[str, ...]
    nameless: int

    def takes(self, annotation: Mapping[str, Any]) -> bool:
        """Tell whether an annotation is of these categories.

        Without a category_id it is of the only one, and of none where there are several.
        """
        return self.ids is None or _category_id(annotation, self.sole) in self.ids

    def lost(self, annotation: Mapping[str, Any]) -> bool:
        """Tell whether an annotation is of no category of the file."""
        return self.ids is not None and _category_id(annotation, self.sole) not in self.known


def coco_category(
    data: Mapping[str, Any], where: object, wanted: str | None = None, field: str = "keypoints"
) -> Category:
    """Return which categories of a parsed COCO file are read; errors as `Classes.choose`.

    field: the entry of annotations that holds the joints.
    """
    named, nameless = _categories(data)
    titles = {i: str(entry.get("name") or f"category {i}") for i, entry in named.items()}
    sole = next(iter(named)) if len(named) == 1 else None
    classes = Classes()
    for i, entry in named.items():
        classes.declare(titles[i], bool(entry.get("keypoints")))
    for annotation in data.get("annotations") or ():
        if isinstance(annotation, dict):
            at = _category_id(annotation, sole)
            if at in titles:
                classes.add(titles[at], bool(annotation.get(field)))
    chosen = classes.choose(wanted, where)
    ids = [i for i, title in titles.items() if title in chosen]
    number = next((i for i in ids if isinstance(i, int)), 1)
    return Category(
        class_title(chosen),
        tuple(named[i] for i in ids),
        frozenset(ids) if named else None,
        sole,
        frozenset(named),
        number,
        classes.remarks(chosen, where),
        nameless,
    )


def _categories(data: Mapping[str, Any]) -> tuple[dict[int | str, Mapping[str, Any]], int]:
    """Return the categories by id, and the number of those without one."""
    found = data.get("categories")
    named: dict[int | str, Mapping[str, Any]] = {}
    nameless = 0
    for entry in found if isinstance(found, list) else ():
        try:
            named.setdefault(image_id(entry["id"]), entry)
        except BROKEN:
            nameless += 1
    return named, nameless


def _category_id(annotation: Mapping[str, Any], sole: int | str | None) -> int | str | None:
    value = annotation.get("category_id")
    if value is None:
        return sole
    try:
        return image_id(value)
    except BROKEN:
        return None
