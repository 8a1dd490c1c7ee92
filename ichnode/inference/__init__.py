"""The model at work: preprocessing, network, bundle, engine. The only package of the node that imports torch."""
