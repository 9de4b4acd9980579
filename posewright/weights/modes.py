"""Pairs of a pose network and a detector, by how fast they are to be and what they are to find.

The weights of all are permissive, and the detectors are trained on COCO (and Objects365) rather
than on HumanArt, whose annotations are non-commercial. Of the detectors of people, rtmdet-m-person
has the highest published AP; yolox-tiny is the smallest one that still finds small people.
"""

from __future__ import annotations

from posewright.errors import UsageError, nearest

__all__ = ["BODIES", "MODES", "pair"]

MODES = ("lightweight", "balanced", "performance")
BODIES = {
    "17": ("rtmpose-s", "rtmpose-m", "rtmpose-x"),
    "26": ("rtmpose-s-halpe26", "rtmpose-m-halpe26", "rtmpose-x-halpe26"),
    "133": ("rtmw-l-m", "rtmw-l", "rtmw-l-384"),
    "hand": ("rtmpose-m-hand",) * 3,
}
_DETECTORS = ("yolox-tiny", "rtmdet-m-person", "rtmdet-m-person")


def pair(mode: str = "balanced", body: str | int = 17) -> tuple[str, str]:
    """Return the names of a pose network and of its detector; UsageError: an unknown word."""
    for word, known in ((mode, MODES), (str(body), tuple(BODIES))):
        if word not in known:
            raise UsageError(f"{word!r} is not one of {', '.join(known)}{nearest(word, known)}")
    at = MODES.index(mode)
    detector = "rtmdet-nano-hand" if str(body) == "hand" else _DETECTORS[at]
    return BODIES[str(body)][at], detector
