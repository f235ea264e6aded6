"""Colours that colour-blind people tell apart, legible on grey: Okabe and Ito's, and maps made of them."""

from __future__ import annotations

RGBA = tuple[float, float, float, float]

SKY, ORANGE, YELLOW, VERMILION, PINK = "#56B4E9", "#E69F00", "#F0E442", "#D55E00", "#CC79A7"
WHITE = "#FFFFFF"

DIRECTIONS = (VERMILION, PINK, SKY, YELLOW)
"""Right, down, left, up."""

CLASSES = (VERMILION, SKY, YELLOW, PINK, ORANGE, WHITE)
"""Of what is annotated: boundary, inside, and further classes in their order; then from the start."""

AREA: tuple[RGBA, ...] = (
    (0.0, 0.25, 0.7, 0.85),
    (0.34, 0.7, 0.91, 0.5),
    (1.0, 1.0, 1.0, 0.0),
    (0.9, 0.62, 0.0, 0.5),
    (0.8, 0.3, 0.0, 0.85),
)
"""Blue where a network looks closer, clear where it keeps areas, orange where it looks wider."""
