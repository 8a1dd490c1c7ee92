"""The lab: data sets, phantom, training and evaluation. The node never imports it."""
