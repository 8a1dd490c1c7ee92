"""Durable files: the atomic writer and the spool."""
