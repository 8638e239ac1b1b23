"""Where a result comes from: code, versions, device, networks."""

import hashlib
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, Optional

import mmkd

if TYPE_CHECKING:
    from torch import nn

FOLDER = Path(mmkd.__file__).parent


def revision() -> str:
    """Return mmkd's git revision, with ``-dirty`` where files differ from it.

    ``'unknown'`` outside git, also where another project's repository contains an
    installed mmkd.
    """
    if _git('ls-files', '--error-unmatch', 'version.py') is None:
        return 'unknown'
    return (
        _git('describe', '--always', '--dirty', '--abbrev=10', '--exclude=*')
        or 'unknown'
    )


def versions() -> Dict[str, str]:
    """Return the versions that figures depend on most."""
    import torch

    return dict(mmkd=mmkd.__version__, torch=torch.__version__)


def device(gpu: Optional[int] = None) -> str:
    """Return the name of the device that a training takes by default.

    Args:
        gpu (int, optional): Index of the GPU, as torch counts. Defaults to the first.
    """
    import torch
    from mmengine.device import get_device

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(gpu or 0)
    if get_device() != 'cpu':
        return get_device()
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(':', 1)[1] for line in lines if line.startswith('model name')]
    return f'CPU, {(names or [platform.machine()])[0].strip()}'


def fingerprint(about: Iterable[Any], networks: Iterable['nn.Module'] = ()) -> str:
    """Return a digest of texts and of networks' parameters and buffers.

    Args:
        about (Iterable): What counts as its text does.
        networks (Iterable[nn.Module]): What counts with all of its tensors, saved ones
            or not. What it does between them is for ``about`` to say.
    """
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for text in about:
        digest.update(f'{text}\n'.encode())
    for network in networks:
        tensors = dict(network.named_parameters(), **dict(network.named_buffers()))
        for key, tensor in sorted(tensors.items()):
            tensor = tensor.detach().cpu().contiguous()
            digest.update(f'{key} {tensor.dtype} {tuple(tensor.shape)}\n'.encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _git(*arguments):
    try:
        done = subprocess.run(
            ['git', '-C', str(FOLDER), *arguments], capture_output=True, text=True
        )
    except OSError:  # no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None
