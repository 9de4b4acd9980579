"""Inputs that failed once, by kind."""
