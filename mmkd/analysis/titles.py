"""Headings of pictures."""

import textwrap

from matplotlib.figure import Figure

LETTERS = 13  # an inch, at the size below


def heading(figure: Figure, text: str) -> None:
    """Give a figure a heading, in as many lines as its width asks for."""
    width = int(LETTERS * figure.get_figwidth())
    figure.suptitle(textwrap.fill(text, width, break_on_hyphens=False), fontsize=10)
