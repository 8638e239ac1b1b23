"""The end of every tool: files written, table printed."""

from pathlib import Path

from matplotlib.figure import Figure

from mmkd.visualization import Artifact, markdown_table


def show(artifact: Artifact, figure: Figure, out: Path) -> None:
    """Write an artifact into a folder and print its title, table and paths."""
    path = artifact.write(out, figure)
    print(f'{artifact.title}\n\n{markdown_table(artifact.rows, artifact.corner)}\n')
    print(f'{path.with_name(artifact.picture)}\n{path}')
