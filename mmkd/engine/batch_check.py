"""Finding a batch that is too small before anything is built."""

from mmengine.config import Config

from mmkd.errors import ConfigError
from mmkd.models import losses as _losses  # noqa: F401  registers them
from mmkd.registry import MODELS

from .launch import is_distiller


def check_batch_size(cfg: Config) -> None:
    """Refuse batches of one for losses that compare the samples of a batch.

    RoIs are many even of one image, so only losses on a classifier's logits count.

    Args:
        cfg (Config): A Distiller's config, or any other, which passes.

    Raises:
        ConfigError: Such a loss would be zero in every step.
    """
    batch = (cfg.get('train_dataloader') or {}).get('batch_size')
    if batch != 1 or not is_distiller(cfg.model):
        return
    for name, term in cfg.model.losses.items():
        kind = str(term.get('type')).split('.')[-1]
        over_batch = getattr(MODELS.module_dict.get(kind), 'over_batch', False)
        if over_batch and term.get('on') == 'logits' and not term.get('sync_stats'):
            raise ConfigError(
                f'{name}: {kind} takes statistics over the batch, and '
                'train_dataloader.batch_size is 1, so it would be zero; use at least '
                '2, or sync_stats=True in a distributed run.'
            )
