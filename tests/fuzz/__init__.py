"""Damaged files of every kind, tried through the readers and the command line."""
