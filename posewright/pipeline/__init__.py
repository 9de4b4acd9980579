"""From frames to people: the one inference path.

pipeline  estimate() of one picture, and Pipeline over many, in order
crowd     joints shared out among people who overlap
refiner   poses refined by a second network (PoseFix)
embedder  features by which people are re-identified
"""

from posewright.pipeline.pipeline import Boxes, Pipeline, estimate

__all__ = ["Boxes", "Pipeline", "estimate"]
