"""Labels in the layout of each tool and data set: NAME.py reads, NAME_out.py writes."""
