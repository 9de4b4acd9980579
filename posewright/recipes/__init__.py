"""Recipes: how a network is trained, as a value.  Nothing here needs torch.

recipe     the settings, and their overrides by name
groups     the settings of one method each, and what they were called before
rules      what each setting may be
configs    configurations of AlphaPose, HRNet and mmpose as recipes
toml       recipes as files, both ways
published  the settings that authors published, of top-down networks
one_stage  those of networks that need no detector
lookup     the recipe of a network, by name
"""
