"""Files of a run: the lock of its folder, the marks of its pictures, what a killed run left."""
