"""Degraded images, to see what a model loses by them: image -> image, the same in every run.

`grey`, `blur`, `noise` and `jpeg` change the whole image before anything is cut out of it.  The
strengths of the last three are the severities 1 to 5 of ImageNet-C (Hendrycks and Dietterich,
arXiv:1903.12261): Gaussian blur, Gaussian noise and JPEG compression; 3 if none is given.

`lowres:N` leaves no more detail than a crop of N pixels has: N is the long side of the person's
crop in pixels, as in the low-resolution table of SimCC (arXiv:2107.03332), but the network stays
the one it is and gets the small crop enlarged.  A top-down model's views are reduced so that their
longer side is N and enlarged again; for a model that looks at whole images the image is reduced
by the same rule for its largest labelled person (box and margin of 1.25) and enlarged again.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from posewright.codecs.base import Array, Codec
from posewright.datasets.base import Dataset, Sample
from posewright.errors import UsageError, nearest
from posewright.people import Frame, People, Pixels
from posewright.skeletons import Skeleton

if TYPE_CHECKING:
    from posewright.runtimes import Model
    from posewright.runtimes.info import ModelInfo

__all__ = ["KINDS", "Degradation", "degraded", "parse"]


KINDS = ("grey", "lowres", "blur", "noise", "jpeg")
_BLUR = (1.0, 2.0, 3.0, 4.0, 6.0)  # px, sigma
_NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation, of the range of a channel
_JPEG = (25, 18, 15, 10, 7)  # quality
_MIDDLE = 3  # severity where none is given
_MARGIN = 1.25  # of a crop round a person's box
_SMALLEST = 8  # px that may be left of a crop


@dataclass(frozen=True)
class Degradation:
    """kind: one of KINDS.  level: px for lowres, severity 1 to 5 for blur, noise and jpeg."""

    kind: str
    level: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            hint = nearest(self.kind, KINDS)
            raise UsageError(f"no degradation {self.kind!r}{hint}; known: {', '.join(KINDS)}")
        if self.kind == "lowres" and self.level < _SMALLEST:
            raise UsageError(
                f"lowres:{self.level} is too small; give the long side of a person's crop in px, "
                f"from {_SMALLEST} on, as in lowres:64"
            )
        if self.kind in ("blur", "noise", "jpeg") and not 1 <= self.level <= 5:
            raise UsageError(f"invalid strength in {self.kind}:{self.level}; give 1 to 5")
        if self.kind == "grey" and self.level:
            raise UsageError(f"grey has no strength; leave out :{self.level}")

    @property
    def name(self) -> str:
        """How it is written and reported, e.g. "blur:3"."""
        return f"{self.kind}:{self.level}" if self.level else self.kind

    def image(self, image: Pixels, seed: str = "", people: People | None = None) -> Pixels:
        """(H, W, 3) RGB -> the same size, degraded.

        seed: decides the noise, the image's name.  people: whose largest person `lowres` goes by;
        without people the image stays as it is.
        """
        if image.size == 0:
            return image
        if self.kind == "lowres":
            largest = _largest(people)
            return _reduced(image, self.level / largest) if largest else image
        if self.kind == "noise":
            return _noisy(image, _NOISE[self.level - 1], seed)
        return _recoded(image, self)

    def views(self, views: Pixels) -> Pixels:
        """(B, h, w, 3) views of one person each -> the same, reduced to `level` px of long side."""
        scale = self.level / max(views.shape[1:3])
        return np.stack([_reduced(v, scale) for v in views]) if len(views) else views


def parse(text: str) -> tuple[Degradation, ...]:
    """Read "grey,lowres:64,blur,noise:5"; a UsageError for an invalid entry."""
    return tuple(_one(word.strip()) for word in text.split(",") if word.strip())


def _one(word: str) -> Degradation:
    kind, colon, number = word.partition(":")
    if colon and not number.isdecimal():
        raise UsageError(f"{word!r} needs a whole number after the colon, as in lowres:64")
    if colon:
        return Degradation(kind, int(number))
    return Degradation(kind, _MIDDLE if kind in ("blur", "noise", "jpeg") else 0)


def degraded(model: Model, dataset: Dataset, change: Degradation) -> tuple[Model, Dataset]:
    """Return what to evaluate in place of a model and a data set."""
    if change.kind == "lowres" and model.codec.top_down:
        return _LowResolution(model, change), dataset
    samples = tuple(_degraded_sample(sample, change) for sample in dataset)
    return model, replace(dataset, samples=samples)


@dataclass(frozen=True, slots=True, eq=False)
class _DegradedSample(Sample):
    """A sample whose image is degraded as it is read; its labels stay true."""

    change: Degradation = Degradation("grey")

    def load(self) -> Frame:
        """Read the image and degrade it."""
        frame = Sample.load(self)
        if frame.status != "ok":
            return frame
        return replace(frame, image=self.change.image(frame.image, self.image.name, self.people))


def _degraded_sample(sample: Sample, change: Degradation) -> Sample:
    return _DegradedSample(
        **{f.name: getattr(sample, f.name) for f in fields(Sample)}, change=change
    )


@dataclass(frozen=True)
class _LowResolution:
    """A model that sees its views at a lower resolution."""

    model: Model
    change: Degradation

    @property
    def info(self) -> ModelInfo:
        """What the model's file says of itself."""
        return self.model.info

    @property
    def codec(self) -> Codec:
        """How its views are cut and its outputs read."""
        return self.model.codec

    @property
    def skeleton(self) -> Skeleton:
        """The joints that it finds."""
        return self.model.skeleton

    @property
    def runtime(self) -> str:
        """What runs it, for reports."""
        return self.model.runtime

    @property
    def only_size(self) -> tuple[int, int] | None:
        """(width, height) of the only views that it takes; None where it takes any."""
        return self.model.only_size

    def with_threshold(self, score: float) -> _LowResolution:
        """Return the same with another score threshold of the model."""
        return replace(self, model=self.model.with_threshold(score))

    def __call__(self, views: Array, condition: Array | None = None) -> dict[str, Array]:
        """(B, h, w, 3) uint8 RGB -> the model's outputs for the reduced views."""
        given: Sequence[Any] = () if condition is None else (condition,)
        return self.model(self.change.views(views), *given)


# --- pixels --------------------------------------------------------------------------------------


def _largest(people: People | None) -> float:
    """Return the long side in px of the crop round the largest person; 0 where nobody is."""
    if people is None or len(people) == 0:
        return 0.0
    sides = people.sides
    return _MARGIN * max(float(sides.max()), 0.0)


def _reduced(image: Pixels, scale: float) -> Pixels:
    """Return the image without the detail that one of `scale` its size cannot show."""
    import cv2

    if scale >= 1:
        return image
    height, width = image.shape[:2]
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    less = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(less, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _noisy(image: Pixels, deviation: float, seed: str) -> Pixels:
    rng = np.random.default_rng(zlib.crc32(seed.encode(errors="surrogateescape")))
    noise = rng.standard_normal(image.shape, np.float32)
    noise *= np.float32(255 * deviation)
    noise += image
    return np.rint(noise, out=noise).clip(0, 255).astype(np.uint8)


def _recoded(image: Pixels, change: Degradation) -> Pixels:
    """Grey scale, blur or JPEG."""
    import cv2

    if change.kind == "grey":
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)
    if change.kind == "blur":
        sigma = _BLUR[change.level - 1]
        blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(blurred, np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG[change.level - 1]]
    data = cv2.imencode(".jpg", image[:, :, ::-1], quality)[1]
    back = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(back[:, :, ::-1])
