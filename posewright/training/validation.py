"""The validation of a run: with labelled boxes and, where wanted, with those of a detector."""

from __future__ import annotations

from pathlib import Path

from posewright.datasets.base import Dataset
from posewright.errors import SourceError, UsageError
from posewright.evaluation.evaluate import evaluate
from posewright.evaluation.kept import kept_boxes
from posewright.evaluation.running import Report
from posewright.evaluation.scoring import main_metric
from posewright.models import PoseModel
from posewright.pipeline.loading import EMBEDDED, duplicates
from posewright.recipes.recipe import Recipe
from posewright.runtimes import Model, load_model
from posewright.weights import find_model

__all__ = ["check_boxes", "validated"]

BOXES = "validation-boxes.json"  # of the run folder


def check_boxes(recipe: Recipe, model: PoseModel) -> None:
    """Raise a UsageError or SourceError for recipe.val_boxes that no validation could use."""
    if not recipe.val_boxes:
        return
    if not model.codec.top_down:
        raise UsageError(f"val_boxes: {recipe.model} finds people by itself; leave it out")
    if recipe.val_boxes != "detector" and not Path(recipe.val_boxes).is_file():
        raise SourceError(
            f"val_boxes={recipe.val_boxes!r} is not there; give a file of a detector's boxes, or "
            '"detector"'
        )


def validated(
    model: Model, held: Dataset, recipe: Recipe, folder: Path, progress: Report
) -> tuple[str, float, str, dict[str, float]]:
    """Return name and value of the main number, how to print it, and the row of the log.

    With recipe.val_boxes there are two numbers, of labelled boxes ("gt") and of a detector's
    ("det"); the first chooses the best network, the second stands in the row as det_NAME.  A
    detector runs once: its boxes are kept in `folder`.
    """
    scoring = evaluate(model, held, batch=recipe.batch, progress=progress).scoring
    name, value = main_metric(scoring)
    if not recipe.val_boxes:
        return name, value, f"{name} {value:.4g}", scoring.numbers
    own = recipe.val_boxes == "detector"
    file = folder / BOXES if own else Path(recipe.val_boxes)
    detector = load_model(find_model(EMBEDDED)[0]) if own and not file.is_file() else None
    boxes, _ = kept_boxes(file, held.samples, detector, held.category, progress)
    second = evaluate(
        model,
        held,
        boxes=boxes,
        nms=duplicates("oks", model.info),
        batch=recipe.batch,
        progress=progress,
    )
    found = main_metric(second.scoring)[1]
    text = f"gt {name} {value:.4g} | det {name} {found:.4g}"
    return name, value, text, {**scoring.numbers, f"det_{name}": found}
