"""What an annotation file in COCO's format holds, and what is wrong with it."""

import json
import math
import mmap
import re
from collections import Counter
from pathlib import Path
from typing import List, Optional, Sequence, Union

from mmkd.datasets.class_folders import some

KEY = re.compile(rb'"categories"\s*:\s*(?=\[)')
#: What mmdet's CocoDataset reads of each entry.
NEEDED = dict(
    categories=('id', 'name'),
    images=('id', 'file_name', 'height', 'width'),
    annotations=('id', 'image_id', 'category_id', 'bbox', 'area'),
)


def categories_of(path: Union[str, Path]) -> List[dict]:
    """Return ``categories`` of a file, in its order, without reading all of it.

    Most of COCO's 450 MB are boxes and masks.

    Returns:
        list[dict]: With ``id`` and ``name`` each; empty if the file has none.
    """
    decoder = json.JSONDecoder()
    with open(path, 'rb') as file:
        if not file.seek(0, 2):
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            for match in KEY.finditer(text):
                for size in (2**16, len(text)):  # LVIS has 1203 with definitions
                    piece = text[match.end() : match.end() + size]
                    try:
                        value, _ = decoder.raw_decode(piece.decode(errors='replace'))
                    except ValueError:
                        continue
                    if value and all(_has(entry, 'categories') for entry in value):
                        return value
                    break
    return []


def fault_of(path: Union[str, Path], classes: Sequence[str] = ()) -> Optional[str]:
    """Say why mmdet's CocoDataset cannot train on a file, or None if it can.

    Reads all of it: for a file that failed.

    Args:
        path (str | Path): The file.
        classes (Sequence[str]): Names of the classes that are wanted.

    Returns:
        str, optional: A clause without a full stop, such as ``'has no images'``.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except json.JSONDecodeError as error:
        where = f'line {error.lineno}, column {error.colno}'
        return f'is no JSON ({where}: {error.msg})'
    except UnicodeDecodeError:
        return 'is no JSON (it is no text)'
    if not isinstance(content, dict):
        return f"is a {type(content).__name__}, not COCO's dict of {', '.join(NEEDED)}"
    for part, keys in NEEDED.items():
        entries = content.get(part)
        if not isinstance(entries, list) or not entries:
            have = ', '.join(map(str, content)) or 'nothing'
            return f'has no {part} (it has {have})'
        for number, entry in enumerate(entries):
            if not _has(entry, part):
                lacks = [key for key in keys if key not in dict(entry or {})]
                return f'lacks {", ".join(lacks)} in entry {number} of {part}'
    for annotation in content['annotations']:
        box = annotation['bbox']
        if not isinstance(box, list) or len(box) != 4 or not all(map(_number, box)):
            return (
                f'has the bbox {box!r} in annotation {annotation["id"]}, but it takes '
                'four numbers: left, top, width and height'
            )
    for part in NEEDED:
        id_, times = Counter(e['id'] for e in content[part]).most_common(1)[0]
        if times > 1:
            return f'has the id {id_} {times} times among its {part}'
    return _boxes(content, classes)


def named(classes: Sequence[str]) -> str:
    """Return the first class names in one line; numbers are said to be no text."""
    return some(
        [name if isinstance(name, str) else f'{name} (no text)' for name in classes]
    )


def _boxes(content, classes):
    """Why no box is left, or None if one is."""
    images = {image['id']: image for image in content['images']}
    names = {entry['id']: entry['name'] for entry in content['categories']}
    why = Counter()
    for box in content['annotations']:
        if box['image_id'] not in images:
            why['of images that it lacks'] += 1
        elif names.get(box['category_id']) not in classes:
            why['of other categories'] += 1
        elif box.get('iscrowd') or box.get('ignore'):
            why['crowds or ignored'] += 1
        elif not _has_area(box, images[box['image_id']]):
            why['without area inside of their image'] += 1
        else:
            return None
    counts = ', '.join(f'{count} {reason}' for reason, count in why.items())
    return (
        f'has no box to train on: 0 of {len(images)} images have a box of the '
        f'{len(classes)} classes ({named(classes)}); of its '
        f'{len(content["annotations"])} annotations {counts}; its categories are '
        f'{named(list(names.values()))}'
    )


def _has(entry, part):
    return isinstance(entry, dict) and all(key in entry for key in NEEDED[part])


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _has_area(annotation, image):
    """As mmdet asks."""
    left, top, width, height = annotation['bbox']
    inner = (
        min(left + width, image['width']) - max(left, 0),
        min(top + height, image['height']) - max(top, 0),
    )
    finite = all(map(math.isfinite, annotation['bbox']))
    whole = annotation['area'] > 0 and min(width, height) >= 1
    return finite and whole and min(inner) > 0
