"""Random numbers that leave those of others as they are."""

import random
from contextlib import contextmanager
from typing import Iterator, Optional

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.logging import MessageHub


@contextmanager
def isolated_rng(device: Optional[torch.device] = None) -> Iterator[None]:
    """Leave the random states of Python, NumPy, torch's CPU and a device as they were.

    Args:
        device (torch.device, optional): A GPU whose numbers are drawn. Defaults to
            none.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=_gpus(device)):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def seed_by(*known: int) -> None:
    """Seed Python, NumPy and torch, on all devices, by a function of some numbers.

    Args:
        *known (int): What the random numbers are to depend on; of at least 0.
    """
    seed = int(np.random.SeedSequence(known).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class RandomStream:
    """Random numbers of a part's own, a function of seed, iteration and process.

    What is drawn inside of :meth:`step` does not move what the rest of the training
    draws: crops, samples of boxes, dropout. A resumed run draws the same again.

    Args:
        name (str): Tells this stream from others of the same iteration.
    """

    def __init__(self, name: str) -> None:
        self._name = int.from_bytes(name.encode(), 'little')
        self._last = (-1, 0)

    @contextmanager
    def step(self, device: torch.device) -> Iterator[None]:
        """Draw this step's numbers inside, on the CPU or ``device``."""
        iteration = MessageHub.get_current_instance().runtime_info.get('iter', 0)
        # In a loop without MMEngine's Runner nobody counts iterations but this.
        again = self._last[1] + 1 if self._last[0] == iteration else 0
        self._last = (iteration, again)
        known = (torch.initial_seed(), self._name, iteration, again, get_rank())
        seeds = np.random.SeedSequence(known).generate_state(3).tolist()
        with isolated_rng(device):
            torch.default_generator.manual_seed(seeds[0])
            for gpu in _gpus(device):
                torch.cuda.default_generators[gpu].manual_seed(seeds[0])
            random.seed(seeds[1])
            np.random.seed(seeds[2])
            yield


def _gpus(device):
    """The GPU whose generator is used; none without one, say for fake tensors."""
    if device is None or device.type != 'cuda' or not torch.cuda.is_available():
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]
