"""Files of a run: the lock of its folder, the marks in its images, leftovers of killed runs.

part       files and folders that get their name when they are complete
scratch    small files replaced in one step
lock       one run in a folder
leftovers  what a killed run left
marks      the mark in drawn images
names      legal file names
paths      an image by the end of its path
address    addresses without their secrets
contents   regular files only
values     checked values of JSON
fields     checked values of metadata
longlists  long JSON lists, read fast
yamlfile   YAML with limits
literals   what a Python file assigns, without running it
matfile    MATLAB files
prefetch   work done ahead by threads
stderr     what libraries of C write on the terminal
modules    the modules of a package
"""
