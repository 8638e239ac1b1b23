"""Wrong inputs as users give them: to the tools, with real configs and files.

Each test here is a table of such inputs. The tool runs in this process, until a
training would change its weights for the first time, which no wrong input may reach.
"""

import json
import re
import runpy
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner

from mmkd.datasets import make_digits
from mmkd.testing import toy_classifier, toy_detector

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('a', 'b', 'c')
DIGITS = tuple(map(str, range(10)))
CLASSIFIER = """
default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmkd'], allow_failed_imports=False)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root={images!r},
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    ),
)
val_dataloader = dict(
    train_dataloader, sampler=dict(type='DefaultSampler', shuffle=False)
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.02, momentum=0.9))
param_scheduler = dict(type='MultiStepLR', milestones=[1])
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
randomness = dict(seed=0)
"""
DETECTOR = """
default_scope = 'mmdet'
custom_imports = dict(imports=['mmkd'], allow_failed_imports=False)
data_root = {scenes!r}
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        metainfo=dict(classes={classes}),
        filter_cfg=dict(filter_empty_gt=True, min_size=1),
        pipeline=pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        metainfo=dict(classes={classes}),
        test_mode=True,
        pipeline=pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric', ann_file=data_root + '/annotations/instances_val.json'
)
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.001, momentum=0.9))
param_scheduler = []
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
randomness = dict(seed=0)
"""
TAUGHT = """
_base_ = {base!r}
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=dict(config={base!r}, checkpoint={checkpoint!r}),
    losses=dict(loss_kd=dict(type='KDLoss', on={on!r})),
)
"""


class Trained(BaseException):
    """A training changes its weights, or a download begins."""


class Outcome(NamedTuple):
    """How a tool ended, and what it said: a sentence is what it should be."""

    kind: str
    text: str


@pytest.fixture(scope='session')
def home(tmp_path_factory):
    """Write images, scenes, configs, checkpoints and a finished training."""
    home = tmp_path_factory.mktemp('home')
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (home / 'images' / name).mkdir(parents=True)
        for index in range(4):
            image = rng.integers(256, size=(32, 32, 3)).astype(np.uint8)
            cv2.imwrite(str(home / f'images/{name}/{index}.png'), image)
    make_digits(home / 'scenes', num_train=6, num_val=2)
    models = dict(classifier=toy_classifier(3), detector=toy_detector(classes=10))
    texts = dict(
        classifier=CLASSIFIER.format(images=str(home / 'images')),
        detector=DETECTOR.format(scenes=str(home / 'scenes'), classes=DIGITS),
    )
    classes = dict(classifier=CLASSES, detector=DIGITS)
    places = dict(classifier='logits', detector='roi.logits')
    for name, model in models.items():
        base = home / f'{name}.py'
        base.write_text(f'{texts[name]}model = {model.to_dict()}\n')
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope(model._scope_):
            weights = MODELS.build(model).state_dict()
        meta = dict(dataset_meta=dict(classes=classes[name]))
        torch.save(dict(meta=meta, state_dict=weights), home / f'{name}.pth')
        taught = TAUGHT.format(
            base=str(base), checkpoint=str(home / f'{name}.pth'), on=places[name]
        )
        (home / f'{name}_kd.py').write_text(taught)
    other = {f'layers.{i}.weight': torch.ones(2) for i in range(9)}
    torch.save(dict(state_dict=other), home / 'other.pth')
    cfg = Config.fromfile(home / 'classifier_kd.py')
    cfg.work_dir = str(home / 'run')
    Runner.from_cfg(cfg).train()
    logs = home / 'run' / next((home / 'run').glob('2*')).name / 'vis_data'
    assert json.loads((logs / 'scalars.json').read_text().splitlines()[0])
    return home


@pytest.fixture
def attempt(home, monkeypatch, capsys):
    """Call a tool in this process, and say how it ended."""

    def call(tool, *arguments):
        arguments = [
            re.sub(r'\{(\w+)\}', lambda m: str(places[m[1]]), str(each))
            for each in arguments
        ]
        monkeypatch.setattr(sys, 'argv', [f'{tool}.py', *arguments])
        capsys.readouterr()
        MMLogger._instance_dict.clear()  # they write to streams of tests before
        try:
            runpy.run_path(str(ROOT / f'tools/{tool}.py'), run_name='__main__')
        except Trained:
            return Outcome('training', capsys.readouterr().out)
        except SystemExit as stopped:
            said = capsys.readouterr().err
            if isinstance(stopped.code, str):
                said += stopped.code
            if not stopped.code:
                return Outcome('done', said)
            lines = [line for line in said.splitlines() if line.strip()]
            last = lines[-1] if lines else ''
            sentence = 'error: ' in last and 'Traceback (most' not in said
            return Outcome(
                'sentence' if sentence else 'lines', last if sentence else said
            )
        except BaseException as error:
            return Outcome('traceback', repr(error))
        return Outcome('done', capsys.readouterr().out)

    def begin(*args, **kwargs):
        raise Trained

    places = dict(home=home, root=ROOT)
    for folder in ('tools', 'tools/benchmarks'):  # as of a script's neighbours
        monkeypatch.syspath_prepend(str(ROOT / folder))
    monkeypatch.setattr(OptimWrapper, 'update_params', begin)
    monkeypatch.setattr('torch.hub.download_url_to_file', begin)
    monkeypatch.setattr('urllib.request.urlopen', begin)
    monkeypatch.setenv('LOCAL_RANK', '0')  # which the tools set for good
    call.places = places
    return call


@pytest.fixture
def refused(attempt, tmp_path, monkeypatch):
    """Call a tool that has to refuse what it is given, in a sentence with words."""
    attempt.places['tmp'] = tmp_path
    monkeypatch.chdir(tmp_path)

    def call(words, tool, *arguments):
        outcome = attempt(tool, *arguments)
        assert outcome.kind == 'sentence', outcome
        assert re.search(words, outcome.text), outcome
        return outcome

    call.attempt = attempt
    return call


@pytest.fixture
def train(refused, tmp_path):
    """Train a config of some lines over one of ``home``'s, which is to be refused."""

    def call(words, base, text, *arguments, tool='train'):
        config = tmp_path / 'my_config.py'
        config.write_text(f'_base_ = {str(refused.attempt.places["home"] / base)!r}\n')
        with open(config, 'a') as file:
            file.write(text + '\n')
        where = ['--work-dir', tmp_path / 'work'] if tool == 'train' else []
        return refused(words, tool, config, *where, *arguments)

    return call


@contextmanager
def small_files(size):
    """Let no file grow beyond some bytes, as on a disk that is full."""
    import resource
    import signal

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)


@pytest.fixture
def full_disk():
    """A context in which no file can become longer than some bytes."""
    return small_files
