"""A busy day of a hospital in compressed time, with everything that goes wrong, and the proof of what has to hold."""
