"""The value of --smooth: a method and its settings."""

from __future__ import annotations

from dataclasses import dataclass

from posewright.errors import UsageError, nearest

__all__ = ["METHODS", "Smoothing", "parse_smoothing"]

# setting: default, least, greatest
METHODS: dict[str, dict[str, tuple[float, float, float]]] = {
    "one-euro": {"min_cutoff": (1.0, 0.01, 1000.0), "beta": (0.01, 0.0, 1000.0)},
    "butterworth": {"cutoff": (6.0, 0.1, 1000.0), "order": (4, 2, 8)},
    "savgol": {"window": (9, 3, 501), "order": (2, 1, 5)},
    "kalman": {"cutoff": (6.0, 0.1, 1000.0), "lag": (0.1, 0.0, 10.0)},
}


@dataclass(frozen=True)
class Smoothing:
    """A method and all of its settings.  Build it with parse_smoothing, which checks them."""

    name: str
    settings: dict[str, float]

    @property
    def whole(self) -> bool:
        """Whether it needs later frames beyond a short lag."""
        return self.name in ("butterworth", "savgol")


def parse_smoothing(text: str) -> Smoothing:
    """Read "one-euro", "butterworth:6" or "kalman:cutoff=4,lag=0.2".

    A number without a name sets the setting at that position.  UsageError for a method or
    setting that does not exist (it suggests the nearest) and for invalid numbers.
    """
    name, _, rest = text.strip().partition(":")
    if name not in METHODS:
        raise UsageError(
            f"no smoothing {name!r}{nearest(name, METHODS)}; known: {', '.join(METHODS)}"
        )
    known = METHODS[name]
    settings = {key: default for key, (default, _, _) in known.items()}
    for place, word in enumerate(word for word in rest.split(",") if word.strip()):
        key, value = _setting(name, place, word)
        settings[key] = value
    # check what takes few values only, or depends on another setting
    order, window = settings.get("order", 2), settings.get("window", 3)
    if name == "butterworth" and order not in (2, 4, 8):
        raise UsageError(
            f"butterworth's order must be 2, 4 or 8, for both passes together, not {order:g}"
        )
    if name == "savgol" and (window % 2 != 1 or order % 1 or order >= window):
        raise UsageError(
            f"savgol needs an odd window and an integer order below it, not {window:g} and "
            f"{order:g}"
        )
    return Smoothing(name, settings)


def _setting(name: str, place: int, word: str) -> tuple[str, float]:
    """Read "6" or "cutoff=6"; check that the setting exists and the number fits it."""
    known = METHODS[name]
    key, equals, number = (part.strip() for part in word.rpartition("="))
    if not equals:
        key = [*known, ""][min(place, len(known))]
    if key not in known:
        raise UsageError(
            f"{name} has no setting {key or word!r}{nearest(key, known)}; it has {', '.join(known)}"
        )
    _, least, most = known[key]
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise UsageError(
            f"{name}'s {key} must be a number from {least:g} to {most:g}, not {number!r}"
        )
    return key, value
