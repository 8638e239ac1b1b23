"""A result for people to look at: what it shows, its picture, table and figures."""

import datetime
import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmkd.errors import DataError
from mmkd.files import write_bytes
from mmkd.provenance import revision, versions
from mmkd.records import check, read_record, write_record

#: Tells these files from other JSON, in its first version.
NAME = 'mmkd.artifact/'
FORMAT = f'{NAME}1'
ADVICE = 'make it again, or delete it'


def _is_cell(value) -> bool:
    """Whether it may stand in a table; a figure may be NaN there."""
    return value is None or isinstance(value, (str, int, float))


#: What every artifact's file holds, and what those of today do.
KINDS = dict(name=str, title=str, about=str)
OPTIONAL = dict(
    rows={str: {str: _is_cell}},
    corner=str,
    values=dict,
    files=[str],
    picture=(str, type(None)),
    settings=dict,
    made={str: str},
)


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
        settings (dict): What it was made with, of
            :func:`~mmkd.visualization.claim`.
        made (dict): When and with what, as its file says. Written anew each time.
    """

    name: str
    title: str
    about: str
    rows: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    corner: str = ''
    values: Dict[str, Any] = field(default_factory=dict)
    files: List[str] = field(default_factory=list)
    picture: Optional[str] = None
    settings: Dict[str, Any] = field(default_factory=dict)
    made: Dict[str, str] = field(default_factory=dict)

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
        self.made = dict(
            date=datetime.date.today().isoformat(), revision=revision(), **versions()
        )
        path = folder / f'{self.name}.json'
        write_record(path, FORMAT, asdict(self))
        return path

    @classmethod
    def read(cls, path: Union[str, Path]) -> Optional['Artifact']:
        """Read one, or return None for any other file.

        Raises:
            DamagedError: It is not whole, or lacks what every artifact has.
            DataError: It is of another version, or cannot be read.
        """
        path = Path(path)
        try:
            if not path.is_file() or NAME.encode() not in path.read_bytes():
                return None
        except OSError as error:
            raise DataError(f'{path} cannot be read: {error.strerror}.') from error
        data = read_record(path, FORMAT, KINDS, ADVICE)
        optional = {key: kind for key, kind in OPTIONAL.items() if key in data}
        check(data, optional, path, ADVICE)
        fields = [*KINDS, *optional]
        return cls(**{key: data[key] for key in fields})


def read_artifacts(
    folder: Union[str, Path], amiss: Optional[List[str]] = None
) -> Dict[Path, Artifact]:
    """Find all below a folder, by the path of their JSON, in order of their paths.

    Args:
        folder (str or Path): Where to look.
        amiss (list[str], optional): Takes a sentence for each that is damaged or of
            another version. Without it, the first of them is raised.

    Raises:
        DataError: See :meth:`Artifact.read`.
    """
    artifacts = {}
    for path in sorted(Path(folder).rglob('*.json')):
        try:
            artifacts[path] = Artifact.read(path)
        except DataError as error:
            if amiss is None:
                raise
            amiss.append(str(error))
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
