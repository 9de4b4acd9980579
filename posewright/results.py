"""The result of one frame: the people, the source of the frame, and its status."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from posewright.errors import SourceError, counted
from posewright.extras import naming_extras, need
from posewright.files.contents import contents
from posewright.files.fields import parsed
from posewright.files.values import BROKEN, dumps, why
from posewright.people import Floats, People, Status
from posewright.schema import rows
from posewright.skeletons import Skeleton

if TYPE_CHECKING:
    import pandas
    import supervision

__all__ = ["Result"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result:
    """All people in one frame, and the source of that frame.

    size: (width, height) px of the frame.  source: path or name.  frame, time: frame number and
    timestamp in the sequence.  status: "ok", "decode_error" (nothing could be read), "gap" (a
    stream was interrupted), "truncated" (the source ended before its declared end) or "model_error"
    (a network returned NaN or infinity for the frame); `message` says more, and with "ok" for which
    people a network returned NaN or infinity.  speed: milliseconds spent on this frame by stage.
    image: the RGB pixels where they were kept.  sequence: the video, stream or folder that the
    frame belongs to, see Frame; identities never cross from one to another.  pixel_aspect: width of
    a pixel over its height where it is shown.  run: networks, settings and versions that found the
    people, as the header of a result file states them.  extra: fields of a row that this version
    does not know.
    """

    people: People
    skeleton: Skeleton
    size: tuple[int, int]
    source: str = ""
    frame: int = 0
    time: float = 0.0
    status: Status = "ok"
    message: str = ""
    speed: dict[str, float] = field(default_factory=dict)
    image: NDArray[np.uint8] | None = None
    sequence: str = ""
    pixel_aspect: float = 1.0
    run: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        width, height = self.size
        people = counted(len(self), "person", "people")
        state = "" if self.status == "ok" else f", {self.status}"
        return f"<Result {self.source!r} frame {self.frame}: {people}, {width} x {height}{state}>"

    def __len__(self) -> int:
        return len(self.people)

    @property
    def keypoints(self) -> Floats:
        """(N, K, 2) x, y px of the original frame."""
        return self.people.keypoints

    @property
    def scores(self) -> Floats:
        """(N, K) joint scores in [0, 1]."""
        return self.people.scores

    @property
    def boxes(self) -> Floats:
        """(N, 4) x1, y1, x2, y2 px."""
        return self.people.boxes

    @property
    def box_scores(self) -> Floats:
        """(N,) person scores in [0, 1]."""
        return self.people.box_scores

    @property
    def ids(self) -> NDArray[np.int64]:
        """(N,) identities; -1 without tracking."""
        return self.people.ids

    @property
    def visible(self) -> NDArray[np.bool_]:
        """(N, K) joints with a score of at least 0.3, the threshold that drawing uses."""
        return np.asarray(self.people.scores >= 0.3)

    def replace(self, **changes: Any) -> Result:
        """Return a copy with some fields exchanged."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the row of plain values that `posewright schema` describes, its header in it.

        Neither the image nor `speed` is in it.
        """
        return {"header": rows.header(self.skeleton, self.run), **rows.row(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """Return what `to_dict` made a dict of, this version's or an older one's.

        SourceError: another object.
        """
        try:
            skeleton, run = rows.read_header(data["header"])
            if skeleton is None:
                raise ValueError("its header names no skeleton")
            return cls(**rows.fields(data, skeleton), run=run)
        except BROKEN as error:
            raise SourceError(f"this is not the result of a frame ({why(error)})") from error

    def to_json(self) -> str:
        """Return `to_dict` as compact JSON in ASCII."""
        return dumps(self.to_dict())

    @classmethod
    def from_json(cls, source: str | bytes | bytearray | memoryview | Path | IO[Any]) -> Result:
        """Return what `to_json` made a text of: the text, its bytes, the path or an open file.

        SourceError: anything else.
        """
        if isinstance(source, Path):
            source = contents(source)
        if isinstance(source, (bytearray, memoryview)):
            source = bytes(source)
        text = source if isinstance(source, (str, bytes)) else source.read()
        try:
            data = parsed(text)
        except ValueError as error:
            raise SourceError(f"this is not the result of a frame ({error})") from error
        return cls.from_dict(data)

    def to_df(self) -> pandas.DataFrame:
        """Return a row for each joint, with the columns of poses.parquet; one row without joints.

        MissingError without pandas.
        """
        from posewright.schema.table import columns

        return need("pandas", "to_df").DataFrame(columns(self))

    def plot(self, **style: Any) -> NDArray[np.uint8]:
        """Return the frame's RGB image with all people drawn on it; `style` as in draw.Style."""
        from posewright.draw import Style, draw  # which needs OpenCV

        if self.image is None:
            raise ValueError("this result has no image; run with keep_images=True")
        return draw(self.image, self.people, self.skeleton, Style(**style))

    def to_supervision(self) -> supervision.KeyPoints:
        """Return the people as `supervision.KeyPoints`; no people give empty arrays.

        xy (N, K, 2) px, confidence of the joints (N, K) and, where the installed version has a
        place for it, of the detections (N,); class_id 0; data["id"] (N,) the identities, -1 = none.
        MissingError without that package.
        """
        with naming_extras("to_supervision"):
            from supervision import KeyPoints
        people = self.people
        taken = inspect.signature(KeyPoints).parameters
        # 0.29 renamed "confidence" to "keypoint_confidence" and added the detections' own.
        joints = "keypoint_confidence" if "keypoint_confidence" in taken else "confidence"
        given: dict[str, Any] = {joints: people.scores.copy()}
        if "detection_confidence" in taken:
            given["detection_confidence"] = people.box_scores.copy()
        classes = np.zeros(len(people), int)
        return KeyPoints(
            people.keypoints.copy(), class_id=classes, data={"id": people.ids.copy()}, **given
        )
