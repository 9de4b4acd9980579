"""Files of a run: the lock of its folder, the marks in its images, leftovers of killed runs."""
