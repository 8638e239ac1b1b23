"""The batches of a loop by iterations, as a function of their number."""

from typing import Any, Iterable, Iterator, List, Optional, Sequence, Tuple

from mmengine.dist import get_rank
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

from mmkd.construct import build_from
from mmkd.models.randomness import seed_by

#: Keep what is drawn for indices and for images apart from what a step draws.
ORDER, IMAGES = 2, 3


class Batches:
    """An endless iterator over a loader's batches, from any one of them on.

    Which images a batch has is the sampler's choice, and what is drawn while they are
    loaded depends on seed, number of the batch and process: not on what was drawn
    before, and not on which of how many workers loads them. The batches before the
    first are passed over by their indices; no image is read. It stands in for the
    iterator of MMEngine's ``IterBasedTrainLoop``.

    Args:
        loader (DataLoader): What to load and how.
        batch_sampler (Iterable): Lists of indices, from the first batch of all on.
        seed (int): The run's.
        first (int): Number of the first batch, the others counted from 0.
        asked (int): How often it is asked for a batch, that nobody looks at, before
            the first. Defaults to 0.
    """

    def __init__(
        self,
        loader: DataLoader,
        batch_sampler: Iterable[Sequence[int]],
        seed: int,
        first: int,
        asked: int = 0,
    ) -> None:
        self._asked = asked
        self._batches = iter(
            DataLoader(
                _Seeded(loader.dataset, seed),
                batch_sampler=_Numbered(batch_sampler, seed, first),
                num_workers=loader.num_workers,
                collate_fn=loader.collate_fn,
                pin_memory=loader.pin_memory,
                timeout=loader.timeout,
                worker_init_fn=loader.worker_init_fn,
                multiprocessing_context=loader.multiprocessing_context,
                generator=loader.generator,
                prefetch_factor=loader.prefetch_factor,
            )
        )

    @classmethod
    def of(cls, runner: Runner) -> Optional['Batches']:
        """Return those of a Runner that trains by iterations, from where it stands.

        None where the data has no indices, as a stream has none.
        """
        loader = runner.train_dataloader
        if isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
            return None
        # Until 0.10.7 MMEngine asks a resumed run's iterator for every batch that was
        # trained on; later ones call skip_iter.
        asks = not hasattr(runner.train_loop.dataloader_iterator, 'skip_iter')
        asked = runner.iter if asks else 0
        sampler = _fresh_batch_sampler(runner, loader)
        # A loader that keeps its workers has started them, and would never end them.
        loader._iterator = None
        return cls(loader, sampler, runner.seed, runner.iter, asked)

    def __iter__(self) -> 'Batches':
        return self

    def __next__(self) -> Any:
        if self._asked:
            self._asked -= 1
            return None
        return next(self._batches)

    def skip_iter(self, count: int) -> None:
        """Do nothing: it stands there already."""


class _Numbered:
    """Gives the indices of batch after batch, pass after pass, with its number."""

    def __init__(self, batch_sampler, seed, first) -> None:
        self._batch_sampler, self._seed, self._first = batch_sampler, seed, first

    def __iter__(self) -> Iterator[Tuple[int, List[int]]]:
        number = passes = 0
        while True:
            begun = number
            # Few samplers draw from the global streams, but torch's own do.
            seed_by(self._seed, passes, ORDER)
            for indices in self._batch_sampler:
                if number >= self._first:
                    yield number, indices
                number += 1
            if number == begun:  # no data at all
                return
            passes += 1
            sampler = getattr(self._batch_sampler, 'sampler', None)
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(passes)


class _Seeded(Dataset):
    """A data set that is asked for numbered batches and seeds for each."""

    def __init__(self, dataset, seed) -> None:
        # A worker that is spawned does not know the rank.
        self._dataset, self._seed, self._rank = dataset, seed, get_rank()

    def __getitems__(self, batch: Tuple[int, List[int]]) -> Any:
        number, indices = batch
        seed_by(self._seed, number, self._rank, IMAGES)
        if hasattr(self._dataset, '__getitems__'):
            return self._dataset.__getitems__(indices)
        return [self._dataset[index] for index in indices]


def _fresh_batch_sampler(runner, loader):
    """Build the loader's anew, as MMEngine does: workers may have drawn from it.

    With the seed of the run that is resumed, where the config has none.
    """
    spec = runner._train_dataloader
    own_seeds = runner._randomness_cfg.get('diff_rank_seed')
    if not isinstance(spec, dict) or own_seeds:
        return loader.batch_sampler
    known = dict(dataset=loader.dataset, seed=runner.seed)
    sampler = build_from(DATA_SAMPLERS, spec['sampler'], **known)
    if spec.get('batch_sampler'):
        known = dict(sampler=sampler, batch_size=spec['batch_size'])
        return build_from(DATA_SAMPLERS, spec['batch_sampler'], **known)
    return BatchSampler(sampler, spec['batch_size'], spec.get('drop_last', False))
