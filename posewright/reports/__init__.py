"""Reports as one HTML file: no scripts, no links, legible on a phone, in light and dark."""

from __future__ import annotations

from posewright.reports.evaluation import evaluation_report
from posewright.reports.targets import draw_targets
from posewright.reports.training import training_report

__all__ = ["draw_targets", "evaluation_report", "training_report"]
