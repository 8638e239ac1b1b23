"""The identity test of configs, as a user runs it."""

import logging
import re
import runpy
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmkd.errors import ConfigError, MisfitError, NonFiniteLossError
from mmkd.models.families import Family
from mmkd.models.families.dense import Dense
from mmkd.models.families.two_stage import TwoStage
from mmkd.testing import toy_detector

TOOL = Path(__file__).resolve().parents[2] / 'tools/identity.py'
POOL = dict(type='DeformRoIPoolPack', output_size=7, output_channels=32)
FCOS = 'fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py'


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs the tool in this process; returns how it ended and what it printed."""

    def call_here(*given):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, given)])
        stopped = None
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as error:
            stopped = error.code
        return stopped, capsys.readouterr().out

    monkeypatch.setenv('LOCAL_RANK', '0')  # which the tools set for good
    yield call_here
    logging.disable(logging.NOTSET)


def test_verdicts(call, tmp_path):
    model = toy_detector()
    Config(dict(model=model)).dump(tmp_path / 'plain.py')
    model.roi_head.bbox_roi_extractor.roi_layer = POOL
    Config(dict(model=model)).dump(tmp_path / 'pool.py')
    code, text = call(tmp_path / 'plain.py', tmp_path / 'pool.py')
    plain, pool = text.split(str(tmp_path / 'pool.py'))
    assert not code
    assert 'right    neck, rpn_head, roi.logits, roi.boxes' in plain
    assert 'right' not in pool and "'deform_roi_pool_forward' needs" in pool
    code, text = call(tmp_path / 'plain.py', '--on', 'logits', 'neck')
    assert not code and 'right    neck' in text
    assert (
        "refused  logits\n             loss_0: on='logits' needs a classifier" in text
    )


def test_it_fails_where_something_is_wrong(call, monkeypatch):
    monkeypatch.setattr(Dense, 'early', Family.early)
    code, text = call(f'mmdet::{FCOS}', '--on', 'bbox_head')
    assert code and 'wrong    bbox_head\n             level' in text


@pytest.mark.parametrize(
    'given, words',
    [
        (['missing.py'], 'missing.py'),
        (['broken.py'], 'broken.py'),
        (['plain.py', '--cfg-options', 'model.nek.num_outs=5'], 'nek'),
        (['plain.py', '--cfg-options', 'model.neck.num_out=5'], 'num_out'),
        (['plain.py', '--on', 'neck', 'roi.logit'], 'did you mean .roi.logits'),
        (['plain.py', '--on', 'nek'], 'closest: neck'),
    ],
)
def test_errors_are_no_refusals(call, tmp_path, monkeypatch, given, words):
    monkeypatch.chdir(tmp_path)
    Config(dict(model=toy_detector())).dump('plain.py')
    Path('broken.py').write_text('model = dict(')
    said, text = call(*given)
    assert re.match(f'error: .*{words}', said) and not text


@pytest.mark.parametrize(
    'raised, verdict',
    [
        (TypeError('no such argument'), 'wrong    roi.logits'),
        (ConfigError('not this one.'), 'refused  roi.logits'),
        (MisfitError('of other shapes.'), 'wrong    roi.logits'),
        (NonFiniteLossError('loss_0 is not finite.'), 'untested roi.logits'),
    ],
)
def test_what_a_family_raises(call, tmp_path, monkeypatch, raised, verdict):
    def fail(*_):
        raise raised

    Config(dict(model=toy_detector())).dump(tmp_path / 'plain.py')
    monkeypatch.setattr(TwoStage, 'late', fail)
    code, text = call(tmp_path / 'plain.py', '--on', 'roi.logits')
    assert verdict in text and bool(code) == ('wrong' in verdict)


def test_values_that_would_grow_over_all_bounds(call, tmp_path):
    model = toy_detector()
    model.backbone.conv_cfg = dict(type='ConvAWS')  # of one scale, whatever weights
    Config(dict(model=model)).dump(tmp_path / 'plain.py')
    code, text = call(tmp_path / 'plain.py', '--on', 'neck')
    assert not code and 'right    neck' in text
