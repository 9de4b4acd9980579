"""What is learned from labelled images besides networks.

ppose         the constants of p-Pose NMS, measured on images they have not seen
ppose_search  the search for them
rescore       the network that expects the OKS of poses (DEKR)
boxes         how far a detector's boxes are from the labelled ones, for PGPG
"""
