#!/usr/bin/env python
"""Write configs/README.md: tables of every shipped config, from the files themselves.

--check writes nothing and fails if the file is out of date. CIFAR-100's files are
written by tools/cifar_cells.py, which is to run first.

Example:
    python tools/config_index.py
"""

import re
from itertools import takewhile
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple

from cifar_cells import TABLE, parse_args, read_table, write_or_check

from mmkd.configs import load_config
from mmkd.engine.launch import run
from mmkd.errors import ConfigError

#: What a heading calls a family of networks, and a detector with teacher and student.
FAMILIES = dict(resnet='R', wrn='W', vgg='V', mobilenetv='MV', shufflenetv='SV')
DETECTORS = {
    'frcnn': 'Faster R-CNN R101→R18',
    'frcnn_r50_mv2': 'Faster R-CNN R50→MV2',
    'mask_rcnn': 'Mask R-CNN R101→R18',
    'cascade_rcnn': 'Cascade R-CNN R101→R18',
    'frcnn_r101_r50': 'Faster R-CNN R101→R50',
    'cascade_mask_rcnn_x101_frcnn_r50': 'Cascade Mask R-CNN X101→Faster R-CNN R50',
    'retinanet_x101_r50': 'RetinaNet X101→R50',
    'mask_rcnn_swin_s_retinanet_r50': 'Mask R-CNN Swin-S→RetinaNet R50',
    'fcos_x101_retinanet_r50': 'FCOS X101→RetinaNet R50',
    'fcos_r101_r50': 'FCOS R101→R50',
    'gfl_r101_r50': 'GFL R101→R50',
    'reppoints_x101_r50': 'RepPoints X101→R50',
    'rtmdet_s_tiny': 'RTMDet s→tiny',
    'rtmdet_m_s': 'RTMDet m→s',
    'rtmdet_l_m': 'RTMDet l→m',
    'yolox_l_m': 'YOLOX l→m',
}
#: In a comment, that a value is this project's and not published.
MMKD = re.compile(r'#.*\(mmkd\)')
INTRODUCTION = """\
# Configs

<!-- Written by tools/config_index.py from the configs; change those and run it. -->

A cell of these tables is one config: a method, a teacher and a student. It is named `METHOD_TEACHER_STUDENT.py`; `none` is the student alone, and `teacher` trains the teacher. To run one:

```bash
python tools/train.py configs/cifar100/kd_resnet56_resnet20.py
```

**The figures are the literature's, none of this project's**, as a rule of the best test epoch, and each links to its config. Nothing here has been run at full length; the reduced runs that were made are in [`cifar100/README.md`](cifar100/README.md). A small example that trains in minutes is in [`quickstart`](quickstart/README.md). What students have learned is transferred in [`tiny_imagenet`](tiny_imagenet/README.md).

- –: no published figure is at hand.
- †: something in the config is this project's, not published; a comment says what, with the word (mmkd), in the file or in its method's file in [`cifar100/_base_`](cifar100/_base_).
- *compares*: what of teacher and student the method compares.
- *checked against*: what the value of the loss was checked against, the authors' figures or a second computation of the formula.
- R ResNet, W Wide ResNet, V VGG, MV MobileNetV, SV ShuffleNetV.
"""  # noqa: E501
TOP1, AP = ('Top-1 (%)', '.2f'), ('Box AP', '.1f')
SECTIONS = {
    'cifar100': ('CIFAR-100', *TOP1),
    'imagenet': ('ImageNet', *TOP1),
    'coco': ('COCO', *AP),
    'coco/dense': ('COCO, one-stage detectors', *AP),
    'coco/real_time': ('COCO, real-time detectors', *AP),
}


class Method(NamedTuple):
    """What a row says of its method."""

    name: str
    compares: str = ''
    checked: str = ''


#: Methods for detectors, which have no cells for CIFAR-100.
DETECTION = {
    name.lower(): Method(
        f'[{name}](https://arxiv.org/abs/{paper})', 'features', "the authors' figures"
    )
    for name, paper in dict(
        PKD='2207.02039', CWD='2011.13256', FGD='2111.11837', MGD='2205.01529'
    ).items()
}


class Column(NamedTuple):
    """A pair's files by method (``kd``, ``reviewkd_luminet``) and its figures."""

    heading: str
    cells: Dict[str, Path]
    published: Dict[str, str]


def main() -> None:
    args = parse_args(__doc__)
    texts = {args.configs / 'README.md': write_index(args.configs)}
    write_or_check(texts, args.check, 'tools/config_index.py')


def write_index(configs: Path) -> str:
    """Return the text of the index of a folder of configs.

    Raises:
        ConfigError: There is no table of methods, or a name is none of theirs.
    """
    folder, table = configs / 'cifar100/_base_', read_table(configs)
    methods = {name: read_method(folder / f'{name}.py') for name in table.methods}
    methods.update({name: Method(name) for name in ('teacher', 'none')}, **DETECTION)
    text = INTRODUCTION
    for name, (title, unit, digits) in SECTIONS.items():
        columns = read_columns(configs / name, methods, digits)
        sources = f'{name.split("/")[0]}/README.md'
        text += f'\n## {title}\n\n{unit}; [recipe and sources]({sources}).\n\n'
        text += ''.join(f'{row}\n' for row in write_rows(columns, methods, configs))
    return text


def read_method(path: Path) -> Method:
    cfg = load_config(str(path))
    compared = [loss.get('on') for loss in cfg.model.losses.values()]
    named = [on.get('pairing') if isinstance(on, dict) else on for on in compared]
    on_logits = any(str(name).endswith('logits') for name in named)
    name = f'[{cfg.method.name}]({cfg.method.paper})'
    return Method(name, 'logits' if on_logits else 'features', cfg.method.checked)


def read_columns(folder: Path, methods: Dict[str, Method], digits: str) -> List[Column]:
    """Return a folder's pairs, the fullest first, then those of one family."""
    pairs = {}
    for path in sorted(folder.glob('*.py')):
        parts = path.stem.split('_')
        if parts[0] not in ('teacher', 'none'):
            known = list(takewhile(methods.__contains__, parts)) or parts[:1]
            pair = '_'.join(parts[len(known) :])
            pairs.setdefault(pair, {})['_'.join(known)] = path

    def order(pair):
        families = set(re.findall('(?:^|_)([a-z]+)', pair))
        numbered = re.sub(r'\d+', lambda number: number[0].zfill(4), pair)
        return -len(pairs[pair]), len(families), numbered

    ordered = sorted(pairs, key=order)
    return [read_column(folder, pair, pairs[pair], digits) for pair in ordered]


def read_column(folder: Path, pair: str, cells: Dict[str, Path], digits: str) -> Column:
    text = ''.join(path.read_text(encoding='utf-8') for path in cells.values())
    # A student that pairs may share is not named after the pair, but is their base.
    base = re.search(r"'\./(none_.+\.py)'", text)
    cells['none'] = folder / (base[1] if base else f'none_{pair}.py')
    teacher = folder / f'teacher_{pair.split("_")[0]}.py'
    if teacher.exists():
        cells['teacher'] = teacher
    names = re.findall('([a-z]+)([^_]*)', pair)
    heading = '→'.join(FAMILIES.get(name, name.upper()) + rest for name, rest in names)
    figures = load_config(str(cells['none'])).get('published', {})
    published = {name: format(figure, digits) for name, figure in figures.items()}
    return Column(DETECTORS.get(pair, heading), cells, published)


def write_rows(
    columns: List[Column], methods: Dict[str, Method], configs: Path
) -> Iterator[str]:
    """Yield the lines of a table: teacher, none, KD, DKD, other logits, features."""
    names = {name for column in columns for name in (*column.cells, *column.published)}
    rows = {name: describe(name, methods) for name in names}

    def order(name):
        first = [name != other for other in ('teacher', 'none', 'kd', 'dkd')]
        return *first, rows[name].compares != 'logits', rows[name].name.lower()

    heads = ['method', 'compares', 'checked against', *(c.heading for c in columns)]
    yield f'| {" | ".join(heads)} |'
    yield f'|{"---|" * len(heads)}'
    for name in sorted(rows, key=order):
        cells = (write_cell(column, name, configs) for column in columns)
        yield f'| {" | ".join([*rows[name], *cells])} |'


def describe(name: str, methods: Dict[str, Method]) -> Method:
    """Return what a row says of a method, or of two as in ``reviewkd_luminet``."""
    parts = name.split('_')
    if not methods.keys() >= set(parts):
        raise ConfigError(
            f'{name!r} is no method of {TABLE}; correct the name of the config, or '
            'the key of published.'
        )
    facts = zip(*(methods[part] for part in parts))
    return Method(*(' + '.join(dict.fromkeys(fact)) for fact in facts))


def write_cell(column: Column, name: str, configs: Path) -> str:
    """Return the figure, linked to the config and marked where there is one."""
    path, figure = column.cells.get(name), column.published.get(name)
    if path is None:
        return figure or ''
    files = path, path.parent / f'_base_/{name}.py'
    texts = [file.read_text(encoding='utf-8') for file in files if file.exists()]
    marked = any(map(MMKD.search, texts))
    return f'[{figure or "–"}]({path.relative_to(configs).as_posix()})' + '†' * marked


if __name__ == '__main__':
    run(main)
