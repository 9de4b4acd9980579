"""Evaluation: people found on labelled pictures, and what that is worth.

evaluate      a model over a data set, and its numbers
running    a model over the pictures of a data set
rescoring  what ranks the people found
arrays     data sets and people as the arrays that metrics compare
tracks     the videos of a data set and the identities in them
report     what a result file is worth
measuring  both, by what the data set publishes
opening    data sets for evaluation: without labels, with MPII's head boxes
files      result files, as the data sets' own evaluators read them
"""
