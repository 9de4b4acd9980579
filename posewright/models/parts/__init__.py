"""What networks are made of: layers, backbones that several families share, necks and heads.

layers: convolutions with their normalisation, residual blocks.  deform: deformable convolution.
attention, gau: attention over channels, places and tokens.  resnet, cspnext, mobilenetv2: the
backbones.  branches: HRNet's exchange of resolutions.  graph, semgcn, graformer: layers over the
skeleton.
necks: what stands between backbone and head, by name.  heads: maps, vectors, and `top_down`, which
puts a network together.  stn: the spatial transformer before a network.

layers          blocks
resnet, mobilenetv2, cspnext, branches  backbones; branches are HRNet's
necks           between backbone and head
attention       attention over maps
graph, semgcn, graformer  graph convolutions over a skeleton
gau             gated attention unit
heads           heads of top-down networks
stn             the spatial transformer of RMPE
deform          deformable convolution and attention
"""
