"""Networks of the zoo as files that any runtime can run.

export     the way from a network to a checked file
folding    batch norms folded into the convolutions before them
openvino   OpenVINO files, in 8 bits where that is asked for
agreement  how far the file is from the network, on views of real people
"""
