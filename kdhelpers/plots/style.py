"""What all figures share: the palette of Okabe and Ito, numbers as text and in percent."""

from collections.abc import Sequence

TEACHER, ALONE, DISTILLED, NEUTRAL = "#0072B2", "#D55E00", "#009E73", "#555555"
PALETTE = (TEACHER, ALONE, DISTILLED, NEUTRAL, "#CC79A7", "#56B4E9", "#E69F00")


def count_text(number: float) -> str:
    """14,724,042 as "14.7 M", 545,098 as "545 k"."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return f"{number:.3g}"


def percent(shares: Sequence[float]) -> list[float]:
    """Accuracies and other shares in %.

    Raises:
        ValueError: one outside 0..1.
    """
    for share in shares:
        if not 0 <= share <= 1:
            raise ValueError(f"accuracies are shares in 0..1, got {share}; divide percent by 100.")
    return [100 * share for share in shares]
