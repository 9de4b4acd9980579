"""posewright: 2D multi-person human pose in one install.

The public names resolve on first use, so that `import posewright` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from posewright.telemetry import switch_off

__version__ = "0.1.0"

switch_off()  # here, because it must come before whatever loads onnxruntime

_HOME = {
    "Pose": "pose",
    "Pipeline": "pipeline",
    "estimate": "pipeline",
    "Fetching": "weights.folders",
    "Frame": "people",
    "People": "people",
    "Result": "results",
    "Skeleton": "skeletons",
    "get_skeleton": "skeletons",
    "Warp": "warp",
    "Source": "sources",
    "open_source": "sources",
    "PosewrightError": "errors",
    "UsageError": "errors",
    "SourceError": "errors",
    "ModelError": "errors",
    "MissingError": "errors",
    "OutputError": "errors",
}

__all__ = [
    "Fetching",
    "Frame",
    "MissingError",
    "ModelError",
    "OutputError",
    "People",
    "Pipeline",
    "Pose",
    "PosewrightError",
    "Result",
    "Skeleton",
    "Source",
    "SourceError",
    "UsageError",
    "Warp",
    "__version__",
    "estimate",
    "get_skeleton",
    "open_source",
]

if TYPE_CHECKING:
    from posewright.errors import (
        MissingError,
        ModelError,
        OutputError,
        PosewrightError,
        SourceError,
        UsageError,
    )
    from posewright.people import Frame, People
    from posewright.pipeline.estimate import estimate
    from posewright.pipeline.pipeline import Pipeline
    from posewright.pose import Pose
    from posewright.results import Result
    from posewright.skeletons import Skeleton, get_skeleton
    from posewright.sources import Source, open_source
    from posewright.warp import Warp
    from posewright.weights.folders import Fetching


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'posewright' has no attribute {name!r}")
    return getattr(import_module(f"posewright.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
