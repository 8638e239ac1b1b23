"""Whether a classifier is as often right as it is sure."""

from typing import Dict, Tuple

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.special import log_softmax

from mmkd.errors import DataError
from mmkd.visualization import Artifact, new_figure

from .presentation import heading

BINS = 15
GAP = 'from there to the mean confidence'


def log_probabilities(logits: ndarray, whose: str) -> ndarray:
    """Return log-probabilities ``(N, K)`` in float64.

    Raises:
        DataError: There is no sample, or a logit is not finite.
    """
    logits = np.asarray(logits, np.float64)
    if not logits.size or not np.isfinite(logits).all():
        raise DataError(
            f'the {whose} gives logits {logits.shape} that are none or not all finite; '
            'check its checkpoint and the data.'
        )
    return log_softmax(logits, axis=1)


def calibration(
    logits: ndarray, labels: ndarray, *, bins: int = BINS, whose: str = 'network'
) -> Dict[str, object]:
    """Expected calibration error, accuracy, confidence and NLL.

    `On Calibration of Modern Neural Networks <https://arxiv.org/abs/1706.04599>`_:
    samples are sorted into bins of equal width by the probability of their most
    probable class; the error is the mean over samples of
    ``|accuracy - mean confidence|`` of their bin. A bin holds its upper edge.

    Args:
        logits (ndarray): ``(N, K)``.
        labels (ndarray): ``(N,)``, from 0 to ``K - 1``.
        bins (int): How many. Defaults to 15.
        whose (str): The network, for messages.

    Returns:
        dict: ``accuracy``, ``confidence`` (mean), ``ece`` (all 0 to 1), ``nll`` (nats)
        and ``bins``, a list of dicts of the bins from 0 on with ``count`` and, where
        that is not 0, ``accuracy`` and ``confidence``.

    Raises:
        DataError: A label or a logit is out of range, or there are none.
    """
    log_probs, labels = log_probabilities(logits, whose), np.asarray(labels)
    classes = log_probs.shape[1]
    if labels.shape != log_probs.shape[:1] or labels.min() < 0:
        raise DataError(
            f'{len(log_probs)} samples need as many labels from 0 on; got '
            f'{labels.shape} from {labels.min()} on.'
        )
    if labels.max() >= classes:
        raise DataError(
            f'the {whose} knows {classes} classes, but a label is {labels.max()}; '
            'evaluate on the data set that it was trained on.'
        )
    confidence = np.exp(log_probs.max(1))
    right = log_probs.argmax(1) == labels
    where = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    filled, error = [], 0.0
    for index in range(bins):
        inside = where == index
        entry = dict(count=int(inside.sum()))
        if entry['count']:
            entry['accuracy'] = float(right[inside].mean())
            entry['confidence'] = float(confidence[inside].mean())
            distance = abs(entry['accuracy'] - entry['confidence'])
            error += distance * entry['count'] / len(labels)
        filled.append(entry)
    return dict(
        accuracy=float(right.mean()),
        confidence=float(confidence.mean()),
        ece=float(error),
        nll=float(-log_probs[np.arange(len(labels)), labels].mean()),
        bins=filled,
    )


def draw_calibration(results: Dict[str, dict], title: str) -> Figure:
    """Draw a reliability diagram and the bins' counts for each network.

    Args:
        results (dict[str, dict]): By name of the network, what :func:`calibration`
            returns.
        title (str): Heading.
    """
    figure = new_figure(5 * len(results) + 0.8, 6.6)
    axes = figure.subplots(
        2,
        len(results),
        squeeze=False,
        sharex=True,
        sharey='row',
        height_ratios=[3, 1],
    )
    for (upper, lower), (name, result) in zip(axes.T, results.items()):
        edges = np.linspace(0, 1, len(result['bins']) + 1)
        counts = [entry['count'] for entry in result['bins']]
        lower.bar(edges[:-1], counts, np.diff(edges), align='edge', ec='white')
        upper.plot([0, 1], [0, 1], 'k--', lw=1, label='perfectly calibrated')
        for key, kind in (
            ('accuracy', dict(color='C0', ec='white', label='accuracy of the bin')),
            ('gap', dict(fc='none', ec='C3', hatch='////', label=GAP)),
        ):
            left, height, bottom = [], [], []
            for edge, entry in zip(edges, result['bins']):
                if entry['count']:
                    gap = entry['confidence'] - entry['accuracy']
                    left.append(edge)
                    height.append(entry['accuracy'] if key == 'accuracy' else gap)
                    bottom.append(0 if key == 'accuracy' else entry['accuracy'])
            upper.bar(left, height, edges[1], bottom, align='edge', **kind)
        upper.set_title(
            f'{name}: ECE {result["ece"]:.3f}, accuracy {result["accuracy"]:.3f}, '
            f'NLL {result["nll"]:.3f} nats',
            fontsize=10,
        )
        upper.set(xlim=(0, 1), ylim=(0, 1))
        upper.grid(alpha=0.3)
        lower.set_xlabel('confidence: probability of the predicted class')
    axes[0, 0].set_ylabel('accuracy (part of the images)')
    axes[1, 0].set_ylabel('images in the bin')
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc='outside lower center', ncols=3)
    heading(figure, title)
    return figure


def calibration_artifact(
    logits: Dict[str, ndarray], labels: ndarray, data: str, *, bins: int = BINS
) -> Tuple[Artifact, Figure]:
    """Measure, draw and describe the calibration of some networks.

    Args:
        logits (dict[str, ndarray]): Logits ``(N, K)`` by name of the network.
        labels (ndarray): ``(N,)``.
        data (str): What the networks and the samples are, for the title.
        bins (int): How many. Defaults to 15.

    Raises:
        DataError: See :func:`calibration`.
    """
    results = {
        name: calibration(x, labels, bins=bins, whose=name)
        for name, x in logits.items()
    }
    title = f'Calibration: {data}'
    about = (
        f'Above: {len(labels):,} images in {bins} bins by the probability that the '
        'network gives the class it predicts (its confidence); blue: the part of a '
        "bin's images that it gets right; hatched: from there to the bin's mean "
        'confidence. Blue on the dashed line is well calibrated, below it too sure, '
        'above it not sure enough. Below: how many images a bin has; bars of few '
        'images say little. ECE: mean distance of accuracy and confidence over the '
        'images (0 to 1). NLL: mean negative log-likelihood of the right class in '
        'nats. Both are better when lower.'
    )
    rows = {
        name: {
            'top-1 (%)': 100 * result['accuracy'],
            'mean confidence (%)': 100 * result['confidence'],
            'ECE': result['ece'],
            'NLL (nats)': result['nll'],
        }
        for name, result in results.items()
    }
    values = dict(samples=len(labels), **results)
    artifact = Artifact('calibration', title, about, rows, 'network', values)
    return artifact, draw_calibration(results, title)
