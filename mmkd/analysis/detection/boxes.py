"""Boxes in COCO's format (https://cocodataset.org/#format-data), checked."""

import io
import json
import math
from collections import Counter
from contextlib import redirect_stdout
from numbers import Real
from pathlib import Path
from typing import Any, Collection, Dict, Hashable, List, Union

from pycocotools.coco import COCO

from mmkd.errors import DataError

LISTS = ('images', 'annotations', 'categories')


def read_truth(source: Union[str, Path, dict]) -> COCO:
    """Read the annotated boxes.

    The annotations are numbered anew, from 1: pycocotools takes the id 0 for "no match"
    (https://github.com/cocodataset/cocoapi/pull/332), so that of a file which numbers
    from 0 it would count one object as missed.

    Args:
        source: Path of a COCO annotation file, or its content. An annotation without
            ``iscrowd`` is no crowd.

    Raises:
        DataError: It is not COCO's format, or holds no object but crowds.
    """
    content, name = _read(source, 'the annotations')
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in LISTS
    ):
        raise DataError(
            f'{name} is no COCO annotation file: it needs an object with the lists '
            f'{", ".join(LISTS)}.'
        )
    ids = {
        key: _column(content[key], 'id', f'{name}, {key}')
        for key in ('images', 'categories')
    }
    _column(content['categories'], 'name', f'{name}, categories')
    boxes = content['annotations']
    for index, box in enumerate(boxes):
        _check(box, 'area', *ids.values(), f'{name}, annotation {index}')
    if all(box.get('iscrowd') for box in boxes):
        raise DataError(f'{name} annotates no object: there is nothing to find.')
    boxes = [{'iscrowd': 0, **box, 'id': id} for id, box in enumerate(boxes, 1)]
    return _index(content['images'], content['categories'], boxes)


def read_predictions(source: Union[str, Path, List[dict]], truth: COCO) -> COCO:
    """Read the boxes that a detector found.

    Args:
        source: Path of a COCO result file, or its content, a list of ``{image_id,
            category_id, bbox: [x, y, width, height], score}``; it may be empty.
            mmdet's ``CocoMetric`` writes one to ``PREFIX.bbox.json`` with
            ``tools/test.py ... --cfg-options test_evaluator.outfile_prefix=PREFIX``.
            The pickles of ``tools/test.py --out`` are not read: they hold labels and
            not categories, and loading one can run code.
        truth: What they are to be compared with.

    Raises:
        DataError: It is not COCO's format, or of other images or categories.
    """
    content, name = _read(source, 'the predictions')
    if not isinstance(content, list):
        raise DataError(
            f'{name} is no COCO result file: it needs a list of predictions, each '
            'with image_id, category_id, bbox and score.'
        )
    for index, box in enumerate(content):
        _check(box, 'score', truth.imgs, truth.cats, f'{name}, prediction {index}')
    boxes = [
        {**box, 'id': id, 'area': box['bbox'][2] * box['bbox'][3], 'iscrowd': 0}
        for id, box in enumerate(content, 1)
    ]
    return _index(truth.dataset['images'], truth.dataset['categories'], boxes)


def select_boxes(boxes: COCO, ids: Collection[int]) -> COCO:
    """Keep the boxes of these ids."""
    kept = [box for id, box in boxes.anns.items() if id in ids]
    return _index(boxes.dataset['images'], boxes.dataset['categories'], kept)


def objects(truth: COCO) -> Dict[int, dict]:
    """Return what is to be found, by id: all annotations but crowds."""
    return {id: box for id, box in truth.anns.items() if not box['iscrowd']}


def _read(source, what):
    if not isinstance(source, (str, Path)):
        return source, what
    path = Path(source)
    if path.suffix in ('.pkl', '.pickle'):
        raise DataError(
            f'{path} is a pickle, which has no category ids and may run code: write '
            "COCO's format with tools/test.py CONFIG CHECKPOINT --cfg-options "
            'test_evaluator.outfile_prefix=PREFIX and give PREFIX.bbox.json.'
        )
    if not path.is_file():
        raise DataError(f'{path} is not there; check the path of {what}.')
    try:
        return json.loads(path.read_text(encoding='utf-8')), str(path)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON, as COCO's format is: {error}.") from None


def _column(entries, key, name) -> set:
    """Return the values of a key, which must be there and differ."""
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get(key), (int, str)):
            raise DataError(f'{name}: entry {index} has no {key}.')
    counts = Counter(entry[key] for entry in entries)
    for value, count in counts.most_common(1):
        if count > 1:
            raise DataError(f'{name}: the {key} {value!r} is there {count} times.')
    return set(counts)


def _check(box: Any, number, images, categories, name):
    wanted = ('image_id', 'category_id', 'bbox', number)
    if not isinstance(box, dict) or not all(key in box for key in wanted):
        raise DataError(f'{name} needs {", ".join(wanted)}, got {_short(box)}.')
    for key, known in (('image_id', images), ('category_id', categories)):
        if not isinstance(box[key], Hashable) or box[key] not in known:
            raise DataError(
                f'{name}: the {key} {box[key]!r} is not among those of the '
                'annotation file; give the annotations of the images tested.'
            )
    if not _numbers(box['bbox'], 4) or min(box['bbox'][2:]) < 0:
        raise DataError(
            f'{name}: bbox must be [x, y, width, height] in pixels, got '
            f'{_short(box["bbox"])}.'
        )
    if not _numbers([box[number]], 1):
        raise DataError(f'{name}: {number} must be a number, got {box[number]!r}.')


def _numbers(values, count) -> bool:
    return (
        isinstance(values, (list, tuple))
        and len(values) == count
        and all(isinstance(value, Real) and math.isfinite(value) for value in values)
    )


def _short(value) -> str:
    return text if len(text := repr(value)) <= 80 else f'{text[:77]}...'


def _index(images, categories, boxes) -> COCO:
    # Not by COCO.loadRes, which takes no empty list and writes into what it is given.
    coco = COCO()
    coco.dataset = dict(images=images, categories=categories, annotations=boxes)
    with redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
