"""Check that the processes of a distributed run train the same model."""

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from mmkd.errors import MMKDError
from mmkd.registry import HOOKS


@HOOKS.register_module()
class RanksAgreeHook(Hook):
    """Compares every parameter between the processes after training.

    A parameter that some process does not update, say because a loss was skipped
    there, is the usual cause of a difference. Buffers are not compared: batch norm's
    statistics are each process's own unless synchronised.

    Raises:
        MMKDError: A parameter differs; names the first.
    """

    priority = 'VERY_LOW'

    def after_train(self, runner) -> None:
        """Compare, and log that they agree."""
        names, parameters = zip(*runner.model.named_parameters())
        sums = [parameter.detach().double().sum() for parameter in parameters]
        highest = torch.stack(sums)
        lowest = -highest
        all_reduce(highest, 'max')
        all_reduce(lowest, 'max')
        differing = (highest != -lowest).nonzero().flatten().tolist()
        if differing:
            raise MMKDError(
                f'{len(differing)} of {len(names)} parameters differ between the '
                f'processes, the first is {names[differing[0]]}.'
            )
        runner.logger.info(f'ranks agree at iteration {runner.iter}')
