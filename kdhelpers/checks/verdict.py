"""What a check answers: a status and a message, in plain text and in a notebook."""

import html
import re
from dataclasses import dataclass
from typing import Literal

Status = Literal["not attempted", "right", "wrong"]


# Symbol, label and colour. White text on these colours has a contrast above 4.5, whatever the theme
# behind them; blue, orange-brown and grey stay apart for colour-blind readers, and the symbol says
# the same again.
_LOOKS: dict[Status, tuple[str, str, str]] = {
    "not attempted": ("○", "not attempted yet", "#5f5f5f"),
    "right": ("✓", "right", "#0069a8"),
    "wrong": ("✗", "not yet", "#a84300"),
}


@dataclass(frozen=True)
class Verdict:
    """The answer of a check; true only when the exercise is right.

    `message` is plain text; `code` in backticks is set as code in a notebook.
    """

    status: Status
    message: str

    def __bool__(self) -> bool:
        return self.status == "right"

    def __str__(self) -> str:
        symbol, label, _ = _LOOKS[self.status]
        return f"{symbol} {label}: {self.message}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        symbol, label, colour = _LOOKS[self.status]
        text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(self.message))
        badge = (
            f"background:{colour};color:#ffffff;border-radius:0.3em;"
            "padding:0.1em 0.5em;font-weight:bold;white-space:nowrap"
        )
        return (
            '<div role="status" style="display:flex;gap:0.7em;align-items:baseline;margin:0.4em 0">'
            f'<span style="{badge}">{symbol} {label}</span>'
            f'<span style="white-space:pre-wrap">{text}</span></div>'
        )
