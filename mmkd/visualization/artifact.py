"""A result for people to look at: what it shows, its picture, table and figures."""

import datetime
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, Optional, Union

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmkd.errors import DataError
from mmkd.files import write_json
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
    """

    name: str
    title: str
    about: str
    rows: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    corner: str = ''
    values: Dict[str, Any] = field(default_factory=dict)
    picture: Optional[str] = None

    def write(self, folder: Union[str, Path], figure: Optional[Figure] = None) -> Path:
        """Write both files into a folder, which is made; return the JSON's path.

        The JSON is written last and in one step, so it never names a picture that is
        not there.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if figure is not None:
            self.picture = f'{self.name}.png'
            figure.savefig(folder / self.picture)
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
            found = json.loads(Path(path).read_text(encoding='utf-8'))
        except ValueError:
            return None
        if not isinstance(found, dict) or found.pop('format', None) != FORMAT:
            return None
        known = {key: found[key] for key in cls.__dataclass_fields__ if key in found}
        if not {'name', 'title', 'about'} <= set(known):
            raise DataError(f'{path} is damaged: make it again, or delete it.')
        return cls(**known)


def read_artifacts(folder: Union[str, Path]) -> Dict[Path, Artifact]:
    """Find all below a folder, by the path of their JSON, in order of their paths."""
    paths = sorted(Path(folder).rglob('*.json'))
    found = {path: Artifact.read(path) for path in paths}
    return {path: artifact for path, artifact in found.items() if artifact}


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches, for a file and not for a screen."""
    figure = Figure(figsize=(width, height), dpi=120, constrained_layout=True)
    FigureCanvasAgg(figure)
    return figure
