"""Training: recipes, optimizers, batches, checkpoints; `posewright.train` joins them."""
