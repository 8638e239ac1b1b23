"""Random numbers that a resumed run draws again."""

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import set_random_seed
from numpy.random import SeedSequence

from mmkd.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds Python, NumPy and torch at the start of every epoch.

    The seed is a function of the run's seed, the epoch and the process, so that what
    is random (augmentation, dropout, sampled RoIs) is the same in a run that was
    killed and resumed at an epoch as in one that was not: MMEngine itself does not
    keep the random states. On a CPU such runs end equal, bit for bit. Persistent
    dataloader workers go on with their own states; use ``num_workers=0`` or
    ``persistent_workers=False`` where this matters.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        """Seed for the epoch that begins."""
        sequence = SeedSequence([runner.seed, runner.epoch, get_rank()])
        set_random_seed(int(sequence.generate_state(1)[0]))
