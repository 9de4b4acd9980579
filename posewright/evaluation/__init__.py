"""Evaluation: the predictions of a model on labelled images, and their scores.

evaluate      a model over a data set, and its numbers
running       a model over the images of a data set
rescoring     what ranks the people found
arrays        data sets and people as the arrays that metrics compare
videos        the videos of a data set and the identities in them
measures      what each data set is measured by: the one table
scoring       result files, by that table
measuring     people found by a model, by that table
by_oks        scores by OKS
by_pck        scores by PCK
by_tracks     scores of identities in videos
report        what results are worth: the numbers and tables
label_sets    data sets for evaluation: without labels, with MPII's head boxes
coco_files    labels and results of COCO's layout
person_files  those of MPII and LSP
track_files   those of PoseTrack and MOTChallenge
columns       fields of many entries as arrays
result_files  result files, as the data sets' own evaluators read them
"""
