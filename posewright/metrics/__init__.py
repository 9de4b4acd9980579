"""Evaluation metrics of the field: numpy arrays in, numbers out.

instances  annotations and detections of a data set as arrays
ranking    detections by score, matched to annotations: precision and recall
oks        COCO, OCHuman, CrowdPose and COCO-WholeBody keypoints
boxes      COCO boxes
pck        PCK, PCKh, area under its curve, error in pixels
tracking   MOTA, MOTP, IDF1
hota       HOTA, DetA, AssA
box_tracks MOT metrics and HOTA of people's boxes over several sequences
posetrack  AP and MOTA per joint
diagnosis  error types, OKS of each person
bootstrap  how sure a difference between two models is
"""
