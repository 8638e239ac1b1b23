"""A result for people to look at: what it shows, its picture, table and figures."""

import datetime
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmkd.errors import DataError
from mmkd.files import write_bytes, write_json
from mmkd.provenance import revision, versions

#: Tells these files from other JSON.
FORMAT = 'mmkd.artifact/1'


@dataclass
class Artifact:
    """A picture and a table with what they mean, written as ``NAME.png`` and ``.json``.

    Args:
        name (str): Stem of its files.
        title (str): What was measured, on which data.
        about (str): How to read it: what an axis, a colour or a column stands for.
        rows (dict): A table as :func:`~mmkd.visualization.markdown_table` takes it.
        corner (str): Head of the table's column of names.
        values (dict): All figures, for programs; what JSON can hold.
        files (list[str]): Names of files beside it to save, too, such as of CSV.
        picture (str, optional): Name of its picture. Defaults to ``NAME.png``, if
            there is one.
    """

    name: str
    title: str
    about: str
    rows: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    corner: str = ''
    values: Dict[str, Any] = field(default_factory=dict)
    files: List[str] = field(default_factory=list)
    picture: Optional[str] = None

    def write(self, folder: Union[str, Path], figure: Optional[Figure] = None) -> Path:
        """Write both files into a folder, which is made; return the JSON's path.

        Each is written in one step and the JSON last, so it never names a picture that
        is not there.
        """
        folder = Path(folder)
        if figure is None:
            self.picture = None
        else:
            self.picture = self.picture or f'{self.name}.png'
            save_figure(figure, folder / self.picture)
        made = dict(
            date=datetime.date.today().isoformat(), revision=revision(), **versions()
        )
        path = folder / f'{self.name}.json'
        write_json(path, dict(format=FORMAT, **asdict(self), made=made))
        return path

    @classmethod
    def read(cls, path: Union[str, Path]) -> Optional['Artifact']:
        """Read one, or return None for any other JSON file.

        Raises:
            DataError: It lacks what every artifact has.
        """
        try:
            data = json.loads(Path(path).read_text(encoding='utf-8'))
        except ValueError:
            return None
        if not isinstance(data, dict) or data.pop('format', None) != FORMAT:
            return None
        known = {key: data[key] for key in cls.__dataclass_fields__ if key in data}
        if not {'name', 'title', 'about'} <= set(known):
            raise DataError(f'{path} is damaged: make it again, or delete it.')
        return cls(**known)


def read_artifacts(folder: Union[str, Path]) -> Dict[Path, Artifact]:
    """Find all below a folder, by the path of their JSON, in order of their paths."""
    paths = sorted(Path(folder).rglob('*.json'))
    artifacts = {path: Artifact.read(path) for path in paths}
    return {path: artifact for path, artifact in artifacts.items() if artifact}


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches, for a file and not for a screen."""
    figure = Figure(figsize=(width, height), dpi=120, constrained_layout=True)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Union[str, Path]) -> None:
    """Write a figure in one step; the path's ending gives the format."""
    path, file = Path(path), io.BytesIO()
    figure.savefig(file, format=path.suffix[1:])
    write_bytes(path, file.getvalue())
