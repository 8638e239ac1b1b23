"""Results of work folders as one page of HTML, for people to look at."""

import datetime
import json
from html import escape
from pathlib import Path, PurePosixPath
from typing import Dict, List, Sequence, Union

from mmkd.errors import DataError
from mmkd.files import write_text
from mmkd.provenance import revision, versions
from mmkd.visualization.artifact import Artifact, read_artifacts
from mmkd.visualization.run_log import RunLog, find_runs

from .benchmarks import benchmark_table, find_benchmarks
from .page import download, page, paragraph, picture, table
from .runs import run_items


def write_html_report(
    folders: Sequence[Union[str, Path]], out: Union[str, Path], title: str = ''
) -> List[str]:
    """Join what lies at and below folders into one file that needs no other.

    It holds the benchmarks of ``tools/run_benchmark.py``, every
    :class:`~mmkd.visualization.Artifact` and the training logs of MMEngine's Runner.

    Args:
        folders (list): Where to look.
        out (str or Path): File to write.
        title (str): Of the page. Defaults to ``''``, for the folders' names.

    Returns:
        list[str]: What is amiss and so not shown, a sentence each.

    Raises:
        DataError: A folder is missing, or none holds anything to report.
    """
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f'{folder} is no folder; give the folders of the results.')
    names = _names([Path(folder).resolve() for folder in folders])
    amiss: List[str] = []
    benchmarks: Dict[Path, str] = {}
    artifacts: Dict[Path, Artifact] = {}
    runs: Dict[Path, str] = {}
    for folder, name in names.items():
        found = find_benchmarks(folder), read_artifacts(folder), find_runs(folder)
        if not any(found):
            amiss.append(f'{name} holds nothing to report.')
        benchmarks.update((p, _shown(p.parent, folder, name)) for p in found[0])
        artifacts.update(found[1])
        runs.update((p, _shown(p, folder, name)) for p in found[2])
    if not (benchmarks or artifacts or runs):
        raise DataError(
            f'{", ".join(names.values())}: nothing to report; looked for results.csv '
            'of tools/run_benchmark.py, the JSON files of tools/linear_probe.py and '
            'tools/analysis, and */vis_data/scalars.json of trainings.'
        )
    parts = [
        (
            'Benchmarks',
            [(benchmarks[path], _benchmark(path, runs, amiss)) for path in benchmarks],
        ),
        (
            'Evaluation and analysis',
            [
                (each.title, _artifact(path, each, amiss))
                for path, each in artifacts.items()
            ],
        ),
        ('Training runs', run_items({name: RunLog(run) for run, name in runs.items()})),
    ]
    footer = _provenance(names.values())
    title = title or f'Results of {", ".join(names.values())}'
    write_text(Path(out), page(title, [part for part in parts if part[1]], footer))
    return amiss


def _names(folders: List[Path]) -> Dict[Path, str]:
    """Name each folder by the end of its path, as long as tells them apart."""
    folders = list(dict.fromkeys(folders))
    depth = 1
    while len({folder.parts[-depth:] for folder in folders}) < len(folders):
        depth += 1
    return {folder: '/'.join(folder.parts[-depth:]) for folder in folders}


def _shown(path: Path, folder: Path, name: str) -> str:
    return PurePosixPath(name, path.relative_to(folder)).as_posix()


def _benchmark(path: Path, runs: Dict[Path, str], amiss: List[str]) -> str:
    parts = [benchmark_table(path)]
    curves = path.with_name('curves.png')  # none before a cell has ended
    # Where the logs are there, too, the same curves are drawn from them.
    if curves.exists() and not any(path.parent in run.parents for run in runs):
        parts.append(_picture(curves, 'Validation curves', amiss))
    return '\n'.join(parts)


def _artifact(path: Path, artifact: Artifact, amiss: List[str]) -> str:
    parts = [paragraph(artifact.about)]
    if artifact.picture:
        # Beside its JSON, whatever path the file claims.
        beside = path.with_name(Path(artifact.picture).name)
        parts.append(_picture(beside, artifact.title, amiss))
    if artifact.rows:
        parts.append(table(artifact.rows, artifact.title, artifact.corner))
    data = path.read_bytes()
    made = json.loads(data)['made']
    date = made.pop('date')
    origin = ', '.join(f'{key} {value}' for key, value in made.items())
    saved = download(path.name, data, 'application/json')
    source = f'All figures: {saved}. Made on {escape(date)} with {escape(origin)}.'
    parts.append(f'<p class="source">{source}</p>')
    return '\n'.join(parts)


def _picture(path: Path, alt: str, amiss: List[str]) -> str:
    try:
        return picture(path.read_bytes(), alt)
    except (OSError, SyntaxError):  # as Pillow says that a file is no whole picture
        said = f'The picture {path.name} is missing or damaged.'
        amiss.append(f'{path.parent.name}: {said}')
        return paragraph(said, 'missing')


def _provenance(names) -> List[str]:
    made = ', '.join(f'{key} {value}' for key, value in versions().items())
    return [
        f'Written on {datetime.date.today().isoformat()}; {made}, revision '
        f'{revision()}.',
        f'From the folders {", ".join(names)}.',
    ]
