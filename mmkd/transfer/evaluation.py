"""Probing several networks on the same split."""

import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.logging import print_log

from mmkd.datasets.read_image import read_image
from mmkd.errors import ConfigError

from .classifiers.held_out import split_held_out
from .classifiers.linear_probe import linear_probe
from .classifiers.logistic_regression import logistic_regression
from .classifiers.nearest_neighbours import nearest_neighbours
from .entry import RANDOM, Entry
from .features.cache import CACHE, cached_features
from .protocol import Protocol
from .targets import Target

#: Numbers to choose from for nearest neighbours.
NEIGHBOURS = (1, 5, 10, 20, 50)


class Run(NamedTuple):
    """One classifier on one network's features, with one seed.

    Args:
        checkpoint (str): Of the network.
        seed (int): Of the probe, and of random weights.
        top1 (np.ndarray): Which class is likeliest for each image of val, ``(N,)``.
        right (np.ndarray): Whether it is the true one, bool ``(N,)``.
        right5 (np.ndarray): Whether the true one is among the five likeliest.
        chosen (Any): What was chosen on the held-out part: a :class:`Setting`, a weight
            decay, or a number of neighbours.
        held_out (dict): Figures of the held-out part by what could be chosen.
        width (int): Numbers in a feature.
    """

    checkpoint: str
    seed: int
    top1: np.ndarray
    right: np.ndarray
    right5: np.ndarray
    chosen: Any
    held_out: Dict[Any, Any]
    width: int


def evaluate(
    entries: Sequence[Entry],
    target: Target,
    protocol: Protocol,
    *,
    cache: str = CACHE,
    batch_size: int = 250,
    workers: int = 2,
    device: Optional[str] = None,
) -> Dict[str, List[Run]]:
    """Probe each entry on a data set.

    Args:
        entries (Sequence[Entry]): What to probe. All are built and shown one image
            before the work begins, so that a misfit shows at once.
        target (Target): The data set.
        protocol (Protocol): How.
        cache (str): See :func:`cached_features`.
        batch_size (int): See :func:`cached_features`.
        workers (int): See :func:`cached_features`.
        device (str, optional): Defaults to the accelerator, or the CPU.

    Returns:
        dict[str, list[Run]]: By name, one run a checkpoint, or a seed; references
        under ``'NAME, REFERENCE'``.

    Raises:
        ConfigError: An entry does not fit its config or the protocol, or no image can
            be held out.
        CheckpointError: A checkpoint is missing or does not fit.
        DataError: An image cannot be read.
        OutputError: The cache cannot be written.
    """
    _check_runs(entries, protocol.seeds)
    if protocol.holds_out:
        split_held_out(np.asarray(target.train.get_gt_labels()), protocol.held_out)
    built = dict(input_size=protocol.input_size, device=device)
    image = read_image(target.train.get_data_info(0))
    for entry in entries:
        network = entry.build(**built)
        pixels = torch.from_numpy(network.transform(image))
        network.features(pixels[None], protocol.layers)
        # Notes the code that has been loaded, which may be edited during the work.
        network.fingerprint()
    results: Dict[str, List[Run]] = {}
    for entry in entries:
        started = time.monotonic()
        for seed in protocol.seeds if entry.checkpoint == RANDOM else (0,):
            network = entry.build(seed=seed, **built)
            train, val = (
                cached_features(
                    network,
                    part,
                    protocol.layers,
                    cache,
                    batch_size=batch_size,
                    workers=workers,
                )
                for part in (target.train, target.val)
            )
            seeds = (seed,) if entry.checkpoint == RANDOM else protocol.seeds
            for each in seeds:
                runs = _probe(
                    train,
                    val,
                    target,
                    protocol,
                    entry=entry,
                    seed=each,
                    device=str(network.device),
                )
                for name, run in runs.items():
                    results.setdefault(name, []).append(run)
        print_log(
            f'{entry.name} ({entry.checkpoint}): '
            f'{100 * results[entry.name][-1].right.mean():.2f} % top-1, '
            f'{time.monotonic() - started:.1f} s',
            'current',
        )
    return results


def _probe(train, val, target, protocol, *, entry, seed, device) -> Dict[str, Run]:
    labels, truth = (
        np.asarray(part.get_gt_labels()) for part in (target.train, target.val)
    )

    def run(answer, layer) -> Run:
        order = np.argsort(-answer.scores, 1, kind='stable')
        return Run(
            checkpoint=entry.checkpoint,
            seed=seed,
            top1=order[:, 0],
            right=order[:, 0] == truth,
            right5=(order[:, :5] == truth[:, None]).any(1),
            chosen=answer.chosen,
            held_out=answer.held_out,
            width=train[layer].shape[1],
        )

    probe = linear_probe(
        train,
        labels,
        val,
        learning_rates=protocol.learning_rates,
        weight_decays=protocol.weight_decays,
        held_out=protocol.held_out,
        epochs=protocol.epochs,
        seed=seed,
        device=device,
    )
    runs = {entry.name: run(probe, probe.chosen.layer)}
    for name in protocol.references:
        (layer,) = protocol.layers
        features = train[layer], labels, val[layer]
        mask = split_held_out(labels, protocol.held_out, seed=seed)
        if name == 'logistic_regression':
            answer = logistic_regression(
                *features, weight_decays=protocol.weight_decays, held_out=mask
            )
        else:
            ks = [k for k in NEIGHBOURS if k <= (~mask).sum()]
            answer = nearest_neighbours(*features, ks=ks, held_out=mask)
        runs[f'{entry.name}, {name.replace("_", " ")}'] = run(answer, layer)
    return runs


def _check_runs(entries: Sequence[Entry], seeds: Sequence[int]) -> None:
    names = [entry.name for entry in entries]
    several = sorted({name for name in names if names.count(name) > 1})
    if several and len(seeds) > 1:
        raise ConfigError(
            f'{several[0]} has several checkpoints and {len(seeds)} probe seeds, but '
            'runs of a method and probes of a run are not of one kind; give one seed, '
            'or each checkpoint a name of its own.'
        )
