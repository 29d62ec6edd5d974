"""The palette of Okabe and Ito, which colour-blind readers can tell apart, and what it means."""

TEACHER, ALONE, DISTILLED, NEUTRAL = "#0072B2", "#D55E00", "#009E73", "#555555"
PALETTE = (TEACHER, ALONE, DISTILLED, NEUTRAL, "#CC79A7", "#56B4E9", "#E69F00")
