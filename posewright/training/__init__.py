"""Training, of which posewright.train is the loop.

run            what a run needs: built, saved, restored
data           its data sets
feed/          batches
stepper        one step, and what can go wrong in it
optim          optimizers and learning rates
loss_schedule  losses that change with the epoch
stn_teachers   RMPE's parallel branch, which teaches the spatial transformer
ema            averaged weights
transfer       weights of another network to begin with
sync_norm      batch norm over all processes
processes      several processes that train together
state          everything that a run resumes from
resuming       the place of a run whose epochs got other steps
folder         the files of a run
logs           what a run writes about itself, and where it stands
signals        how it is stopped
"""
