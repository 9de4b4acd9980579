"""Reports as one HTML file: no scripts, no links, legible on a phone, in light and dark.

page        HTML, escaped in one place
plots       inline SVG
gallery     the worst people
targets     training crops with their targets
training    the report of a run
evaluation  the report of an evaluation
"""

from __future__ import annotations

from posewright.reports.evaluation import evaluation_report
from posewright.reports.targets import draw_targets
from posewright.reports.training import training_report

__all__ = ["draw_targets", "evaluation_report", "training_report"]
