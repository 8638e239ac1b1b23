"""A cache of downloaded checkpoints that knows them by their whole URL and content.

``torch.hub`` keeps a download by the last part of its URL, so that a file of the same
name from elsewhere is taken for it.
"""

import os
import re
from hashlib import sha256
from pathlib import Path
from typing import Optional

import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import print_log

from mmkd.errors import CheckpointError


def download(url: str, by_name: bool = True) -> str:
    """Return the path of what a URL holds; rank 0 fetches it for the others.

    Downloads lie in ``checkpoints/mmkd`` of ``torch.hub.get_dir()``, in a folder per
    URL, and have the SHA-256 of their content in their name, which is compared before
    use.

    Args:
        url (str): Downloaded once.
        by_name (bool): Also take what ``torch.hub`` itself has downloaded, if its name
            is that of the URL and carries the beginning of its content's SHA-256, as
            ``resnet18-f37072fd.pth`` does. Defaults to True.

    Raises:
        CheckpointError: It cannot be downloaded.
    """
    try:
        if get_rank() == 0:
            _fetch(url, by_name)
    finally:
        barrier()
    # On another machine the cache is another one.
    return str(_fetch(url, by_name))


def _fetch(url: str, by_name: bool) -> Path:
    hub = Path(torch.hub.get_dir()) / 'checkpoints'
    name = re.split('[?#]', url)[0].rsplit('/')[-1]
    same_name = hub / name
    if by_name and _begins_with(same_name, _hash_in(name)):
        return same_name
    folder = hub / 'mmkd' / sha256(url.encode()).hexdigest()
    for path in folder.glob('*-*'):
        if _begins_with(path, path.name.split('-')[0]):
            return path
    print_log(f'Downloading {url} to {folder}', logger='current')
    part = folder / f'{os.getpid()}.part'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(part), progress=os.isatty(0))
        path = folder / f'{_sha256(part)}-{name[-100:]}'
        os.replace(part, path)
    except Exception as error:  # of urllib, of http.client, of the disk
        raise CheckpointError(
            f'{url} could not be downloaded ({error}): download it on another machine '
            'and give its local path instead'
            + (f', which may be {same_name}.' if os.path.isfile(same_name) else '.')
        ) from error
    return path


def _hash_in(name: str) -> Optional[str]:
    found = re.search(r'-([0-9a-f]{8,64})\.\w+$', name)
    return found and found.group(1)


def _begins_with(path: Path, digits: Optional[str]) -> bool:
    return bool(digits) and os.path.isfile(path) and _sha256(path).startswith(digits)


def _sha256(path: Path) -> str:
    digest = sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
