"""The wire and the objects read from it; the only importer of pynetdicom."""
