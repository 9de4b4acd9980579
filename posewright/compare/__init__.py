"""Models side by side, and variants of a network trained side by side.

study         each model on one data set
cost          latency and memory, measured in a process of its own; stages of a Pose
networks      models by file or name, and how large they are
degrade       images made grey, small, blurred or noisy
report        the study as a page and tables
plan          the file of `posewright study`: variants and one recipe
trials        its variants, trained and evaluated
trial_report  them as a page and tables
"""
