"""What every analysis ends in: a heading over its picture, and what is shown of it."""

import textwrap
from pathlib import Path
from typing import Any, Dict

from matplotlib.figure import Figure

from mmkd.visualization import Artifact, markdown_table

LETTERS = 13  # an inch, at the size below


def heading(figure: Figure, text: str) -> None:
    """Give a figure a heading, in as many lines as its width asks for."""
    width = int(LETTERS * figure.get_figwidth())
    figure.suptitle(textwrap.fill(text, width, break_on_hyphens=False), fontsize=10)


def show(
    artifact: Artifact, figure: Figure, out: Path, settings: Dict[str, Any]
) -> None:
    """Write an artifact into a folder and print its title, table and paths.

    Args:
        artifact (Artifact): What to write.
        figure (Figure): Its picture.
        out (Path): The folder.
        settings (dict): Of :func:`mmkd.visualization.claim`.
    """
    artifact.settings = settings
    path = artifact.write(out, figure)
    print(f'{artifact.title}\n\n{markdown_table(artifact.rows, artifact.corner)}\n')
    print(f'{path.with_name(artifact.picture)}\n{path}')
