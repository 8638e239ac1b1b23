"""Random numbers and batches that a resumed run gets again."""

from mmengine.dist import get_rank
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmkd.engine.batches import Batches
from mmkd.models.randomness import seed_by
from mmkd.registry import HOOKS

#: Keep seeds of the same number apart, also from those of the batches.
STEP, VALIDATION = 1, 4


@HOOKS.register_module(name=['SeedHook', 'EpochSeedHook'])
class SeedHook(Hook):
    """Makes what is random a function of the run's seed, the place and the process.

    So it is the same (augmentation, dropout, sampled RoIs, the order of the data) in a
    run that was killed and resumed as in one that was not: MMEngine itself does not
    keep the random states. On one thread of a CPU such runs end equal, bit for bit.
    ``tools/train.py`` puts it into every run.

    A loop by epochs is seeded at the start of every epoch, where it resumes. Its
    persistent dataloader workers go on with their own states; use ``num_workers=0`` or
    ``persistent_workers=False`` where this matters. A loop by iterations is seeded in
    every iteration, and its batches come from :class:`~mmkd.engine.batches.Batches`,
    where workers are seeded, too.

    What others keep to themselves is not in a checkpoint: gradients that accumulate
    over several iterations, the count of ``EarlyStoppingHook``, images that a
    transform such as ``CachedMosaic`` remembers.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        """Say so where MMEngine cannot go on where it was."""
        loop = runner.train_loop
        by_epochs = isinstance(loop, EpochBasedTrainLoop)
        savers = (hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
        if by_epochs and not all(hook.by_epoch for hook in savers):
            done = runner.iter - runner.epoch * len(loop.dataloader)
            if done > 0:
                runner.logger.warning(
                    f'The checkpoint is of {done} iterations into epoch '
                    f'{runner.epoch + 1}, which begins anew: what it saw is seen '
                    'twice. Save by epochs, or train by iterations.'
                )

    def before_train_epoch(self, runner) -> None:
        """Seed for the epoch that begins; a loop by iterations gets its batches."""
        seed_by(runner.seed, runner.epoch, get_rank())
        loop = runner.train_loop
        by_iterations = isinstance(loop, IterBasedTrainLoop)
        # A config may name this hook beside the one that every run gets.
        if by_iterations and not isinstance(loop.dataloader_iterator, Batches):
            loop.dataloader_iterator = Batches.of(runner) or loop.dataloader_iterator

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed for a step of a loop by iterations."""
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            seed_by(runner.seed, runner.iter, get_rank(), STEP)

    def before_val(self, runner) -> None:
        """Seed for a validation, which may have to be made up after a kill."""
        seed_by(runner.seed, runner.iter, get_rank(), VALIDATION)
