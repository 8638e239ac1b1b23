"""Results of work folders as one page of HTML, for people to look at."""

import datetime
import mimetypes
from html import escape
from pathlib import Path, PurePosixPath
from typing import Dict, Iterable, List, Sequence, Tuple, Union

from mmkd.errors import ConfigError, DataError
from mmkd.files import check_writable, write_text
from mmkd.provenance import revision, versions
from mmkd.visualization.artifact import Artifact, read_artifacts
from mmkd.visualization.run_log import RunLog, find_runs

from .page import download, page, paragraph, picture, table
from .runs import run_items

#: What is said of a folder without anything to show.
NOTHING = (
    'holds nothing to report; looked for the results of tools/run_benchmark.py, '
    'tools/linear_probe.py and tools/analysis (JSON), and for */vis_data/scalars.json '
    'of trainings.'
)
#: What is said of a training without anything to show.
EMPTY = 'has no whole line in the log of its training (*/vis_data/scalars.json).'
#: What is said of the folders of benchmarks without what is shown of them.
OUTDATED = (
    'results.csv and curves.csv in {} are of an older mmkd, without results.json, so '
    'they are not shown; python tools/run_benchmark.py --report-only --out DIR writes '
    'it, where DIR is the folder with the trainings (NAME/seedN).'
)


def write_html_report(
    folders: Sequence[Union[str, Path]], out: Union[str, Path], title: str = ''
) -> List[str]:
    """Join what lies at and below folders into one file that needs no other.

    It holds every :class:`~mmkd.visualization.Artifact`, those of benchmarks among
    them, and the training logs of MMEngine's Runner.

    Args:
        folders (list): Where to look.
        out (str or Path): File to write.
        title (str): Of the page. Defaults to ``''``, for the folders' names.

    Returns:
        list[str]: What is amiss and so not shown, a sentence each.

    Raises:
        ConfigError: ``out`` is a file that is no report of these folders.
        DataError: A folder is missing, or none holds anything to report.
        OutputError: ``out`` cannot be written.
    """
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f'{folder} is no folder; give the folders of the results.')
    names = _names([Path(folder).resolve() for folder in folders])
    _check_out(Path(out), names.values())
    amiss: List[str] = []
    artifacts: Dict[Path, Artifact] = {}
    runs: Dict[Path, Tuple[str, RunLog]] = {}
    places: Dict[Path, str] = {}  # of the artifacts
    for folder, name in names.items():
        results, trainings = read_artifacts(folder, amiss), find_runs(folder)
        old = [_shown(path, folder, name) for path in _outdated(folder)]
        if old:
            amiss.append(OUTDATED.format(', '.join(old)))
        elif not results and not trainings:
            amiss.append(f'{name} {NOTHING}')
        artifacts.update(results)
        places.update((p, _shown(p.parent, folder, name)) for p in results)
        for path in trainings:
            log, place = RunLog(path), _shown(path, folder, name)
            if log.curves or not log.begun:
                runs[path] = place, log
            else:
                amiss.append(f'{place} {EMPTY}')
    if not (artifacts or any(log.curves for _, log in runs.values())):
        amiss += [f'{place} {EMPTY}' for place, _ in runs.values()]
        raise DataError(' '.join(dict.fromkeys(amiss)))
    titles = [artifact.title for artifact in artifacts.values()]
    results = []
    for path, artifact in artifacts.items():
        same = titles.count(artifact.title) > 1
        head = f'{artifact.title} ({places[path]})' if same else artifact.title
        results.append((head, _artifact(path, places[path], artifact, amiss)))
    parts = [
        ('Results', results),
        ('Training runs', run_items(dict(runs.values()))),
    ]
    footer = _provenance(names.values())
    title = title or f'Results of {", ".join(names.values())}'
    write_text(Path(out), page(title, [part for part in parts if part[1]], footer))
    return [*dict.fromkeys(amiss)]  # folders may lie within each other


def _check_out(out: Path, names: Iterable[str]) -> None:
    """Try the file before the work; spare what is no report of these folders."""
    check_writable(out)
    if out.is_file() and escape(_source(names)) not in out.read_text(
        encoding='utf-8', errors='replace'
    ):
        raise ConfigError(
            f'{out} is there already and is no report of {", ".join(names)}; give '
            'another --out, or delete it.'
        )


def _names(folders: List[Path]) -> Dict[Path, str]:
    """Name each folder by the end of its path, as long as tells them apart."""
    folders = list(dict.fromkeys(folders))
    depth = 1
    while len({folder.parts[-depth:] for folder in folders}) < len(folders):
        depth += 1
    return {folder: '/'.join(folder.parts[-depth:]) for folder in folders}


def _shown(path: Path, folder: Path, name: str) -> str:
    return PurePosixPath(name, path.relative_to(folder)).as_posix()


def _outdated(folder: Path) -> List[Path]:
    """Return the folders of benchmarks that have no artifact."""
    tables = sorted(folder.rglob('results.csv'))
    return [
        path.parent
        for path in tables
        if path.with_name('curves.csv').exists()
        and not path.with_name('results.json').exists()
    ]


def _artifact(path: Path, place: str, artifact: Artifact, amiss: List[str]) -> str:
    parts = [paragraph(artifact.about)]
    if artifact.picture:
        try:
            parts.append(picture(_beside(path, artifact.picture), artifact.title))
        except (OSError, SyntaxError):  # as Pillow says that a file is no whole picture
            parts.append(_missing(path, 'picture', artifact.picture, amiss))
    if artifact.rows:
        parts.append(table(artifact.rows, artifact.title, artifact.corner))
    made = dict(artifact.made)
    date = made.pop('date', 'an unknown date')
    origin = ', '.join(f'{key} {value}' for key, value in made.items()) or 'unknown'
    saved = [download(path.name, path.read_bytes(), 'application/json')]
    for name in artifact.files:
        kind = mimetypes.guess_type(name)[0] or 'application/octet-stream'
        try:
            saved.append(download(Path(name).name, _beside(path, name), kind))
        except OSError:
            parts.append(_missing(path, 'file', name, amiss))
    source = (
        f'All figures: {", ".join(saved)}. From {escape(place)}, made on '
        f'{escape(date)} with {escape(origin)}.'
    )
    parts.append(f'<p class="source">{source}</p>')
    return '\n'.join(parts)


def _beside(path: Path, name: str) -> bytes:
    """Read a file beside an artifact's JSON, whatever path that claims."""
    return path.with_name(Path(name).name).read_bytes()


def _missing(path: Path, what: str, name: str, amiss: List[str]) -> str:
    text = f'The {what} {Path(name).name} is missing or damaged.'
    amiss.append(f'{path.parent.name}: {text}')
    return paragraph(text, 'missing')


def _source(names: Iterable[str]) -> str:
    return f'From the folders {", ".join(names)}.'


def _provenance(names) -> List[str]:
    made = ', '.join(f'{key} {value}' for key, value in versions().items())
    return [
        f'Written on {datetime.date.today().isoformat()}; {made}, revision '
        f'{revision()}.',
        _source(names),
    ]
