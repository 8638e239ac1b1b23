"""Options of a loader that only workers have."""

from mmengine.config import Config

from .paths import LOADERS

#: PyTorch refuses them, or fails, without workers.
OF_WORKERS = (
    'persistent_workers',
    'prefetch_factor',
    'timeout',
    'multiprocessing_context',
)


def settle_workers(cfg: Config) -> None:
    """Take out what only workers need from loaders with ``num_workers=0``.

    Stock configs have ``persistent_workers=True``, which PyTorch refuses then.

    Args:
        cfg (Config): Changed in place.
    """
    for name in LOADERS:
        loader = cfg.get(name)
        if isinstance(loader, dict) and loader.get('num_workers', 0) == 0:
            for key in OF_WORKERS:
                loader.pop(key, None)
