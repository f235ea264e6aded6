"""Boundary probabilities become objects: fragments, their graph, its evidence, and what joins them."""
