"""Whether a training set gives batches, and batches that a network can take."""

import copy

from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler, DataLoader
from torch.utils.data.distributed import DistributedSampler
from torch.utils.data.sampler import RandomSampler, SequentialSampler

from mmkd.engine.bare_model import bare_model
from mmkd.errors import DataError
from mmkd.models.randomness import isolated_rng

from .leaves import sample_of, sources_of

#: Of PyTorch; those with an end.
FINITE = (RandomSampler, SequentialSampler, DistributedSampler)


def check_batches(runner: Runner) -> None:
    """Check that the training loader gives a batch, and none that the network refuses.

    Batch norm takes no batch of one sample where a map is one pixel, which shows in
    the last step of an epoch: the step is tried where such a batch is to come.

    Raises:
        DataError: There would be no iteration, or one fails.
    """
    loader = runner.train_dataloader
    sampler = loader.batch_sampler
    if not isinstance(sampler, BatchSampler) or not _ends(runner, sampler.sampler):
        return
    number, size = len(sampler.sampler), sampler.batch_size
    processes = get_world_size()
    each = f'{number} images' + (' of each process' if processes > 1 else '')
    if not len(loader):
        raise DataError(
            f'train_dataloader: batch_size={size} is more than the {each}, and '
            'drop_last=True leaves no batch, so nothing would be trained; lower '
            'batch_size, or take drop_last=True out.'
        )
    alone = size == 1 or (number % size == 1 and not sampler.drop_last)
    same_everywhere = processes == 1 or getattr(sampler.sampler, 'round_up', False)
    if alone and same_everywhere and _fails_alone(bare_model(runner), loader):
        how = 'set drop_last=True or another batch_size'
        what = f'the last batch of {each} with batch_size={size} is a single one'
        if size == 1:
            what, how = 'batch_size is 1', 'use at least 2'
        raise DataError(
            f'train_dataloader: {what}, of which batch norm in the network cannot '
            f'take statistics (a map of one pixel); {how}.'
        )


def _ends(runner, sampler):
    """Whether a sampler comes to an end, as all do in a loop by epochs."""
    if not hasattr(sampler, '__len__'):
        return False
    if isinstance(runner.train_loop, EpochBasedTrainLoop):
        return True
    return isinstance(sampler, FINITE) or type(sampler).__name__ == 'DefaultSampler'


def _fails_alone(model, loader: DataLoader):
    """Whether batch norm refuses a step on one sample."""
    if not any(isinstance(module, _BatchNorm) for module in model.modules()):
        return False
    with isolated_rng():
        model = copy.deepcopy(model).train()
        try:
            data = model.data_preprocessor(_batch_of_one(loader), True)
            model(**data, mode='loss')
        except Exception as error:
            # Whatever else fails is not of the batch's size.
            return 'more than 1 value per channel' in str(error)
    return False


def _batch_of_one(loader):
    if hasattr(loader.dataset, '__getitems__'):
        return loader.collate_fn(loader.dataset.__getitems__([0]))
    return loader.collate_fn([sample_of(next(sources_of(loader.dataset)))])
