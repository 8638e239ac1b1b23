"""Logging that does not wait for the device in every step."""

from collections import defaultdict
from typing import Dict, List

import torch
from mmengine.hooks import RuntimeInfoHook

from mmkd.errors import ConfigError
from mmkd.registry import HOOKS


@HOOKS.register_module()
class BufferedInfoHook(RuntimeInfoHook):
    """MMEngine's ``RuntimeInfoHook``, reading the losses once in a while.

    The stock hook calls ``.item()`` on every logged value in every iteration, which
    makes a GPU wait for Python. This one keeps the tensors and reads them together;
    the log is the same. Put it in the stock one's place::

        default_hooks = dict(runtime_info=dict(type='mmkd.BufferedInfoHook'))

    Args:
        interval (int): Iterations between two readings, a divisor of the logger
            hook's interval. Defaults to 50.

    Raises:
        ConfigError: The logger would read in between.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._kept: Dict[str, List] = defaultdict(list)

    def before_train(self, runner) -> None:
        """Check the logger's interval; see ``RuntimeInfoHook``."""
        super().before_train(runner)
        for hook in runner.hooks:
            logged = getattr(hook, 'interval', 0)
            if type(hook).__name__ == 'LoggerHook' and logged % self.interval:
                raise ConfigError(
                    f'BufferedInfoHook: the logger reads every {logged} iterations, '
                    f'but values come every interval={self.interval}; make that a '
                    f'divisor of {logged}.'
                )

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Keep what the step logged; hand it on at times."""
        for key, value in (outputs or {}).items():
            value = value.detach() if isinstance(value, torch.Tensor) else value
            self._kept[key].append(value)
        batches = len(runner.train_dataloader)
        if (
            self.every_n_inner_iters(batch_idx, self.interval)
            or self.every_n_train_iters(runner, self.interval)
            or batch_idx + 1 == batches
            or runner.iter + 1 == runner.max_iters
        ):
            self._hand_on(runner.message_hub)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Hand on what a run resumed from here would miss."""
        self._hand_on(runner.message_hub)
        known = runner.message_hub.state_dict()
        checkpoint['message_hub']['log_scalars'] = known['log_scalars']

    def _hand_on(self, hub):
        for key, values in self._kept.items():
            for value in _read(values):
                hub.update_scalar(f'train/{key}', value)
        self._kept.clear()


def _read(values):
    """Turn scalars, of one kind, into numbers; device tensors in one transfer."""
    if isinstance(values[0], torch.Tensor):
        return torch.stack([value.flatten()[0] for value in values]).tolist()
    return values
