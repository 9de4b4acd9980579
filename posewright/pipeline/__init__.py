"""From frames to people: the one inference path.

estimate  people on one image or several, by one model
pipeline  many frames, in order: detector, pose, duplicates, tracker
scales    networks that find people by themselves, at several sizes of an image
averaging several views of a person, and duplicates, averaged
crowd     joints shared out among people who overlap
refiner   poses refined by a second network (PoseFix); refining, rewriting: those of a file
embedder  features by which people are re-identified
loading   the networks of a Pose, by name
header    what a run used, as its results state it
"""

from posewright.pipeline.estimate import Boxes, estimate
from posewright.pipeline.pipeline import Pipeline

__all__ = ["Boxes", "Pipeline", "estimate"]
