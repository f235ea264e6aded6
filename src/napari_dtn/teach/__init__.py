"""Annotations make a model better: a plan, a training that can be followed, and the library that keeps it."""
