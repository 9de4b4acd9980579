"""Models side by side.

study    each model on one data set
cost     latency and memory, measured in a process of its own; stages of a Pose
degrade  images made grey, small, blurred or noisy
report   the study as a page and tables
"""
