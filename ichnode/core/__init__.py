"""The domain, pure: standard library and numpy only; no file, socket, clock, database, pydicom or torch."""
