"""The model bundles that are shipped with ichnode; see `ichnode.inference.bundle`."""
