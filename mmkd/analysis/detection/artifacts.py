"""Figures of detectors with their pictures and what they mean."""

from collections import Counter
from typing import Any, Dict, Tuple

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray
from pycocotools.coco import COCO
from pycocotools.cocoeval import Params

from mmkd.visualization import Artifact

from .boxes import objects
from .pictures import draw_class_ap, draw_confusion, draw_errors, draw_size_ap
from .scores import FIGURES

MOST_ROWS = 100  # classes in the picture of AP
DRAWN = ('AP', 'AP50', 'AP75', 'AP small', 'AP medium', 'AP large', 'AR')
UNDEFINED = '-'  # in tables

Made = Tuple[Artifact, Figure]


def size_ap_artifact(truth: COCO, scores: Dict[str, dict], data: str) -> Made:
    """Describe COCO's figures of several models.

    Args:
        truth (COCO): Of :func:`read_truth`.
        scores (dict): By model, of
            :func:`detection_scores`.
        data (str): What the images are, for the title.
    """
    areas = np.array([box['area'] for box in objects(truth).values()])
    params = Params('bbox')
    numbers = {
        size: int(((areas >= low) & (areas <= high)).sum())
        for size, (low, high) in zip(params.areaRngLbl, params.areaRng)
    }
    labels = {key: f'{key}\n{numbers["all"]:,} objects' for key in DRAWN}
    for size in ('small', 'medium', 'large'):
        labels[f'AP {size}'] = f'AP {size}\n{numbers[size]:,} objects'
    title = f'AP and AR, overall and by size of the object: {data}'
    about = (
        'AP: average precision of boxes, 0 to 1, mean over the IoU thresholds 0.50, '
        '0.55, ... 0.95 and the classes, as pycocotools computes it; AP50, AP75: at '
        'one threshold. Small: area below 32², medium: up to 96², large: above, in '
        'pixels. AR: recall with up to 100 predictions (AR@1, AR@10: 1, 10) an image '
        'and class. What has no objects is undefined and left out.'
    )
    figures = {name: score['overall'] for name, score in scores.items()}
    rows = {
        name: {key: score.get(key, UNDEFINED) for key in FIGURES}
        for name, score in figures.items()
    }
    values = dict(objects=numbers, models=figures)
    artifact = Artifact('detection_ap', title, about, rows, 'model', values)
    return artifact, draw_size_ap(figures, labels, title)


def class_ap_artifact(truth: COCO, scores: Dict[str, dict], data: str) -> Made:
    """Describe the AP of each class, and what it is less than the first model's.

    Args:
        truth (COCO): Of :func:`read_truth`.
        scores (dict): By model, of
            :func:`detection_scores`.
        data (str): What the images are, for the title.
    """
    first, *others = scores
    models = {name: score['classes'] for name, score in scores.items()}
    gaps = {
        other: {name: ap - models[first][name] for name, ap in models[other].items()}
        for other in others
    }
    key = gaps[others[0]] if others else models[first]
    order = sorted(key, key=key.get)
    if others:
        shown = sorted(order, key=lambda name: -abs(key[name]))[:MOST_ROWS]
    else:
        shown = order[:MOST_ROWS]
    names = truth.cats.values()
    number = Counter(box['category_id'] for box in objects(truth).values())
    number = {cat['name']: number[cat['id']] for cat in names if number[cat['id']]}
    title = f'AP by class: {data}'
    about = (
        'AP of boxes, 0 to 1, mean over the IoU thresholds 0.50 to 0.95; in brackets '
        'the number of objects. No interval is given: the AP of a class with few '
        'objects changes much by chance. '
    )
    if others:
        about += f'On top what {others[0]} loses most against {first}. '
        title += f', lowest {others[0]} - {first} on top'
    if len(order) > len(shown):
        what = 'largest differences' if others else 'lowest AP'
        about += f'The picture shows the {len(shown)} classes of the {what}. '
        title += f', {len(shown)} of {len(order)} classes'
    absent = len(names) - len(order)
    if absent:
        about += f'{absent} classes without objects have no AP and are left out.'
    rows = {}
    for name in order:
        rows[name] = dict(objects=number[name])
        rows[name].update({model: ap[name] for model, ap in models.items()})
        rows[name].update({f'{o} - {first}': gap[name] for o, gap in gaps.items()})
    values = dict(objects=number, models=models, gaps=gaps)
    artifact = Artifact('detection_class_ap', title, about, rows, 'class', values)
    labels = {name: f'{name} ({number[name]:,})' for name in order if name in shown}
    return artifact, draw_class_ap(models, labels, title)


def errors_artifact(errors: Dict[str, Any], data: str, score: float) -> Made:
    """Describe the kinds of errors.

    Args:
        errors (dict): By model, of
            :func:`detection_errors`.
        data (str): What the images are, for the title.
        score (float): That they were counted from.
    """
    title = f'Predictions of a score from {score:g} on, and objects: {data}'
    about = (
        'Right: IoU of at least 0.5 with an object of its class that no prediction of '
        'a higher score has taken. Duplicate: it is taken. Wrong class: IoU of at '
        'least 0.5 with an object of another class. Poorly localised: IoU of 0.1 to '
        '0.5 with one of its class; with one of another: wrong class, poorly '
        'localised. Background: IoU below 0.1 with every object. Objects are found by '
        'a right prediction, or are in an error (a wrong class or poor localisation), '
        'or are missed. Kinds as in TIDE (https://arxiv.org/abs/2008.08115).'
    )
    rows = {
        name: {**counts['predictions'], **counts['objects']}
        for name, counts in errors.items()
    }
    values = dict(score=score, models=errors)
    artifact = Artifact('detection_errors', title, about, rows, 'model', values)
    return artifact, draw_errors(errors, title)


def confusion_artifact(
    truth: COCO,
    name: str,
    counts: ndarray,
    shown: ndarray,
    data: str,
    score: float,
) -> Made:
    """Describe what a model takes the objects for.

    Args:
        truth (COCO): Of :func:`read_truth`, of C categories.
        name (str): The model's.
        counts (ndarray): ``(C + 1, C + 1)``, of
            :func:`detection_confusion`.
        shown (ndarray): Places of the classes to draw.
        data (str): What the images are, for the title.
        score (float): That predictions were counted from.
    """
    classes = [truth.cats[id]['name'] for id in sorted(truth.cats)]
    columns = [classes[place] for place in shown] + ['nothing (missed)']
    totals = counts.sum(1)
    rows = np.append(shown, len(classes))
    drawn = counts[np.ix_(rows, rows)]
    title = f'What {name} takes objects for, score from {score:g} on: {data}'
    about = (
        'Of the objects of a true class (row), the share in % that predictions of a '
        'class (column) found: the highest score first, each takes the free object of '
        'the highest IoU, at least 0.5, whatever its class. Last column: objects that '
        'none took. Last row: predictions that found no free object, on the background '
        'or on an object already taken, by their class. Grey rows have nothing to '
        'share out.'
    )
    if len(shown) < len(classes):
        rest = totals[rows] - drawn.sum(1)
        drawn = np.insert(drawn, len(shown), rest, axis=1)
        columns.insert(len(shown), 'other classes')
        about += (
            f' Drawn are the {len(shown)} of {len(classes)} classes most often taken '
            'for another one, by any of the models; the JSON has all.'
        )
        title += f'; the {len(shown)} most confused of {len(classes)} classes'
    labels = [f'{classes[place]} ({totals[place]:,})' for place in shown]
    labels.append(f'no object left ({totals[-1]:,})')
    shares = np.full(drawn.shape, np.nan)
    np.divide(drawn, totals[rows, None], out=shares, where=totals[rows, None] > 0)
    values = dict(score=score, classes=classes, counts=counts.tolist())
    table = {
        label: dict(zip(columns, row)) for label, row in zip(labels, drawn.tolist())
    }
    stem = f'detection_confusion_{name}'
    artifact = Artifact(stem, title, about, table, 'true class', values)
    return artifact, draw_confusion(shares, labels, columns, title)
