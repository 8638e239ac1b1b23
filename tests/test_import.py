"""What is imported when, and that every order of imports works."""

import subprocess
import sys
from pathlib import Path

import pytest

import mmkd
import mmkd.losses
import mmkd.models
import mmkd.visualization

ROOT = Path(__file__).parents[1]
HEAVY = ('torch', 'mmcv', 'mmdet', 'mmpretrain', 'matplotlib')


def fresh(code, *arguments):
    """Run code in a process that has imported nothing."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_and_help_are_light():
    tools = 'report train test run_benchmark inspect_distill quickstart config_index'
    paths = [f'tools/{name}.py' for name in tools.split()]
    paths += [f'tools/analysis/{name}.py' for name in ('curves', 'detection_errors')]
    code = f"""
import os, runpy, sys
import mmkd
assert 'mmengine' not in sys.modules
for path in sys.argv[1:]:
    sys.argv = [path, '--help']
    sys.path.insert(0, os.path.dirname(path))  # as Python does for a script
    try:
        runpy.run_path(path, run_name='__main__')
    except SystemExit as stopped:
        assert not stopped.code, path
    assert not [name for name in {HEAVY} if name in sys.modules], path
"""
    assert fresh(code, *paths).count('usage:') == len(paths)


def test_mmkd_first():
    """A loss needs torch alone; mmdet then finds mmcv's operators, the Runner is safe.

    The last line: mmcv-lite answers what mmcv's report asks of the extension.
    """
    fresh("""
import sys
from mmkd.losses import LumiNetLoss
assert LumiNetLoss.__module__.startswith('mmkd.models.losses')
heavy = ('mmcv', 'mmdet', 'mmpretrain', 'mmengine.runner')
assert not [name for name in heavy if name in sys.modules]
import mmdet.models
import mmengine.runner
from mmkd.compat import checkpoints
assert mmengine.runner.CheckpointLoader._schemes[''] is checkpoints.load_from_local
import torch
from mmcv.ops import nms
from mmcv.utils import collect_env
assert len(nms(torch.tensor([[0.0, 0, 4, 4]] * 2), torch.ones(2), 0.5)[1]) == 1
collect_env()['MMCV Compiler']
""")


def test_openmmlab_first():
    fresh("""
import mmdet, mmengine.runner
import mmkd
from mmkd.compat import checkpoints
assert mmengine.runner.CheckpointLoader._schemes[''] is checkpoints.load_from_local
from mmcv.ops import nms
""")


CONFIG = """
default_scope = 'mmpretrain'
student = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARResNet', depth=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=64),
)
model = dict(
    type='mmkd.Distiller',
    student=student,
    teacher=dict(config=dict(model=student), checkpoint=None, allow_untrained=True),
    losses=dict(loss_kd=dict(type='KDLoss', on='logits')),
    data_preprocessor=dict(type='ClsDataPreprocessor'),
)
work_dir = WORK_DIR
"""


def test_a_config_finds_everything_by_its_scope(tmp_path):
    """As from a stock tool: nobody imports mmkd, nothing that it has is left out."""
    path = tmp_path / 'distil.py'
    path.write_text(CONFIG.replace('WORK_DIR', repr(str(tmp_path))))
    code = """
import sys
from mmengine.config import Config
from mmengine.runner import Runner
distiller = Runner.from_cfg(Config.fromfile(sys.argv[1])).model
assert type(distiller).__module__ == 'mmkd.models.distiller'
from mmengine.runner import CheckpointLoader
from mmkd.compat import checkpoints
assert CheckpointLoader._schemes[''] is checkpoints.load_from_local
import importlib, pkgutil
import mmkd
from mmkd import registry
registries = [each for each in vars(registry).values() if hasattr(each, 'module_dict')]
registries = [each for each in registries if each.scope == 'mmkd']
assert len(registries) > 5
for each in registries:
    each.import_from_location()
by_scope = {each.name: set(each.module_dict) for each in registries}
for module in pkgutil.walk_packages(mmkd.__path__, 'mmkd.'):
    importlib.import_module(module.name)
for each in registries:
    assert by_scope[each.name] == set(each.module_dict), each.name
"""
    fresh(code, path)


@pytest.mark.parametrize(
    'package', [mmkd, mmkd.losses, mmkd.models, mmkd.visualization]
)
def test_names_are_there_and_listed(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name in dir(package)


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="'mmkd.models' has no attribute 'Loss'"):
        mmkd.models.Loss  # noqa: B018
    with pytest.raises(ImportError):
        from mmkd import Loss  # noqa: F401
