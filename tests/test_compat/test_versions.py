"""Every unfit installation is named in one sentence, with the way out."""

import subprocess
import sys

import mmcv
import pytest

from mmkd.compat import versions


def test_this_environment_is_fine():
    versions.check_installed()
    versions.check_fit()


def test_no_pkg_resources(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pkg_resources', None)
    with pytest.raises(ImportError, match=r'pip install "setuptools>=77,<81"'):
        versions.check_installed()


def test_no_mmcv(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmcv', None)
    with pytest.raises(ImportError, match=r'"mmkd\[lite\]".*"mmkd\[full\]"'):
        versions.check_installed()


@pytest.mark.parametrize('version', ['2.0.0', '2.2.0', '2.3.1'])
def test_mmcv_that_mmdet_refuses(monkeypatch, version):
    monkeypatch.setattr(mmcv, '__version__', version)
    with pytest.raises(ImportError) as error:
        versions.check_fit()
    assert f'{version} is installed' in str(error.value)
    assert '>=2.0.1,<2.2"' in str(error.value)


def test_torchvision_that_fails_to_import(monkeypatch, tmp_path):
    package = tmp_path / 'torchvision'
    package.mkdir()
    reason = 'operator torchvision::nms does not exist'
    package.joinpath('__init__.py').write_text(f'raise RuntimeError({reason!r})')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'torchvision')
    with pytest.raises(ImportError, match=f'{reason}.*from the same index'):
        versions.check_fit()


def test_torchvision_without_operators(monkeypatch):
    import torch

    monkeypatch.setattr(torch.ops, 'torchvision', object())
    with pytest.raises(ImportError, match='from the same index'):
        versions.check_fit()


def test_checked_when_mmcv_is_imported(tmp_path):
    tmp_path.joinpath('mmcv.py').write_text('__version__ = "2.3.1"')
    code = (
        f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
        'import mmkd\n'
        'try:\n'
        '    import mmdet\n'
        'except ImportError as error:\n'
        '    print(error)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert '2.3.1 is installed, and mmdet 3.3 needs' in done.stdout, done.stderr


def test_checked_on_import_and_before_anything_else():
    code = (
        'import sys\n'
        'sys.modules["pkg_resources"] = None\n'
        'try:\n'
        '    import mmkd\n'
        'except ImportError as error:\n'
        '    print(error, "torch" in sys.modules)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert '"setuptools>=77,<81"' in done.stdout, done.stderr
    assert done.stdout.strip().endswith('False')
