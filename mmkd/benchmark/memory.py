"""Memory of a model and of a step."""

from typing import Callable

import torch
from torch import nn


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
