"""Judges a curbside binary by what software that nobody here wrote makes of it."""
