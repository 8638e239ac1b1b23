"""Timing several ways to do a thing so that their ratios mean something."""

import statistics
import time
from typing import Callable, Dict, List

import torch


def clock(step: Callable[[], object], device: str) -> float:
    """Return the seconds that a step takes, until the device has done it."""
    if device == 'cuda':
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def interleave(
    steps: Dict[str, Callable[[], object]], rounds: int, device: str, warmup: int = 2
) -> Dict[str, List[float]]:
    """Time steps in turn, in another order each round: none profits from another.

    Args:
        steps (dict): Steps by name.
        rounds (int): Times that each is measured.
        device (str): ``'cuda'`` or ``'cpu'``.
        warmup (int): Times that each runs before. Defaults to 2.

    Returns:
        dict[str, list[float]]: Seconds of each round.
    """
    for _ in range(warmup):
        for step in steps.values():
            step()
    times: Dict[str, List[float]] = {name: [] for name in steps}
    for number in range(rounds):
        names = list(steps)
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            times[name].append(clock(steps[name], device))
    return times


def ratio(above: List[float], below: List[float]) -> List[float]:
    """Return the quartiles of the ratio, round by round."""
    return statistics.quantiles([a / b for a, b in zip(above, below)], n=4)
