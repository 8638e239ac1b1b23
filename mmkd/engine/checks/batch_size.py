"""Batches of one where a loss compares the samples of a batch."""

from mmengine.config import Config

from mmkd.configs import is_distiller, name_of
from mmkd.errors import ConfigError
from mmkd.registry import FAMILIES, MODELS, PAIRINGS


def check_batch_size(cfg: Config) -> None:
    """Refuse batches of one for losses that compare the samples of a batch.

    Where there are many rows of one image nothing is refused.

    Args:
        cfg (Config): A Distiller's config, or any other, which passes.

    Raises:
        ConfigError: Such a loss would have nothing to compare.
    """
    batch = (cfg.get('train_dataloader') or {}).get('batch_size')
    if batch != 1 or not is_distiller(cfg.model):
        return
    for name, term in (cfg.model.get('losses') or {}).items():
        inner = term
        while 'loss' in inner:  # a wrapper compares what the loss inside does
            inner = inner['loss']
        kind = name_of(inner)
        over_batch = getattr(MODELS.get(kind), 'over_batch', False)
        alone = not inner.get('sync_stats') and not _many_rows(term.get('on'))
        if over_batch and alone:
            raise ConfigError(
                f'{name}: {kind} compares the samples of a batch with each other, but '
                'train_dataloader.batch_size is 1; use at least 2, or in a distributed '
                'run sync_stats=True where the loss has it.'
            )


def _many_rows(on) -> bool:
    """Whether what ``on=`` names gives many rows of one image."""
    from mmkd.models.families import Family  # noqa: F401  registers them

    if isinstance(on, dict):
        on = on.get('pairing', on.get('student'))
    names = on if isinstance(on, (list, tuple)) else [str(on)]
    late = [part for kind in FAMILIES.module_dict.values() for part in kind.late_parts]
    return all(
        getattr(PAIRINGS.get(name), 'many_rows', False) or name.split('.')[0] in late
        for name in names
    )
