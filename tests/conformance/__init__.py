"""The conformance statement: written from the code, and held against a running node."""
