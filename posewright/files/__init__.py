"""Files of a run: the lock of its folder, the marks of its images, what a killed run left."""
