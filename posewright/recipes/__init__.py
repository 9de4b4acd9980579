"""Recipes: how a network is trained, as a value.  Nothing here needs torch.

recipe     the settings, and their overrides by name
rules      what each setting may be
toml       recipes as files, both ways
published  the settings that authors published, family by family
lookup     the recipe of a network, by name
"""
