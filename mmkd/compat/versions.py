"""Checks of the installed packages, made once.

Each is an installation that pip accepts and that fails later, far from its cause:

* mmcv is no dependency of mmkd, since mmcv-lite and mmcv exclude each other
  (https://mmcv.readthedocs.io/en/latest/get_started/installation.html);
* mmdet 3.3 asserts mmcv < 2.2 with a message that names no command
  (https://github.com/open-mmlab/mmdetection/issues/12312);
* MMEngine imports ``pkg_resources`` when it reads a ``mmdet::`` config, and newer
  setuptools have none (https://github.com/open-mmlab/mmcv/issues/3325);
* torch and torchvision of different builds do not find each other's operators
  (https://github.com/pytorch/pytorch/issues/157648).

Delete a check when its upstream declares the requirement to pip.
"""

from importlib.util import find_spec

MMCV_RANGE = ('2.0.1', '2.2')


def check_installed() -> None:
    """Raise if a package is missing, at ``import mmkd``; imports none of them.

    Raises:
        ImportError: With what is missing and the command to run.
    """
    if find_spec('pkg_resources') is None:
        raise ImportError(
            f'setuptools {_version("setuptools")} has no pkg_resources, which MMEngine '
            'imports when it reads a config: run `pip install "setuptools>=77,<81"`.'
        )
    if find_spec('mmcv') is None:
        raise ImportError(
            'mmcv is not installed: run `pip install "mmkd[lite]"` (installs at once, '
            'core operators through torchvision) or `pip install "mmkd[full]"` (every '
            'operator, compiled on this machine).'
        )


def check_fit() -> None:
    """Raise if the versions do not go together, once mmcv is imported.

    Raises:
        ImportError: With what was found, what is allowed and the command to run.
    """
    _check_mmcv()
    _check_torchvision()


def _check_mmcv() -> None:
    import mmcv
    from mmengine.utils import digit_version

    low, high = MMCV_RANGE
    if not digit_version(low) <= digit_version(mmcv.__version__) < digit_version(high):
        package = 'mmcv' if _version('mmcv') == mmcv.__version__ else 'mmcv-lite'
        raise ImportError(
            f'{package} {mmcv.__version__} is installed, and mmdet 3.3 needs mmcv '
            f'>={low},<{high}: run `pip install "{package}>={low},<{high}"`.'
        )


def _check_torchvision() -> None:
    import torch

    try:
        import torchvision  # noqa: F401

        torch.ops.torchvision.nms  # noqa: B018
    except (AttributeError, OSError, RuntimeError) as error:
        raise ImportError(
            f'torchvision {_version("torchvision")} cannot load its operators beside '
            f'torch {torch.__version__} ({str(error).splitlines()[0]}): install both '
            'together from the same index, with `pip install --force-reinstall torch '
            'torchvision` and the `--index-url` that torch came from, if any.'
        ) from error


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return '(not installed)'
