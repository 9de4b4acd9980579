"""How good predictions are, by the measures of the field: numpy in, numbers out.

instances  labels and detections of a data set as arrays
ranking    detections by score, matched to labels: precision and recall
oks        COCO, OCHuman, CrowdPose and COCO-WholeBody keypoints
boxes      COCO boxes
pck        PCK, PCKh, area under its curve, error in pixels
tracking   MOTA, MOTP, IDF1
hota       HOTA, DetA, AssA
box_tracks both, of people's boxes over several sequences
posetrack  AP and MOTA joint by joint
diagnosis  kinds of mistakes, OKS of each person
"""
