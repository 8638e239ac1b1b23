"""What a step costs: seconds, measured so that their ratios mean something; memory."""

import statistics
import time
from typing import Callable, Dict, List

import torch
from torch import nn


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


def peak(step: Callable[[], object], device: str) -> float:
    """Return the MiB that a step allocates above its start, at its peak.

    Args:
        step (Callable): Makes the step.
        device (str): ``'cuda'``, where torch counts, or ``'cpu'``, where the step runs
            under torch's profiler.
    """
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - start) / 2**20
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profiler:
        step()
    held = highest = 0
    events = profiler.profiler.kineto_results.events()
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == '[memory]':
            held += event.nbytes()
            highest = max(highest, held)
    return highest / 2**20


def weights(model: nn.Module) -> float:
    """Return the MiB of a model's parameters and buffers."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.nbytes for tensor in tensors) / 2**20
