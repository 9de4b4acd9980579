"""What a network is fed with while it trains.

feed       batches in order, made ahead of their use
instances  the labelled people, one view each
batches    which of them come together, and when
streams    random numbers that have no state
crops      images cut to what is seen of them, kept on disk
poses      poses of another model, which a network is to refine
opening    the feed of a recipe
"""
