"""What a refused on= is told to choose exists for these networks, and works."""

import copy
import functools
import re

import pytest
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ROOT_MODELS
from mmpretrain.models import ClsDataPreprocessor
from torch import nn

from mmkd.configs import load_config
from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.pairings import build_pairing
from mmkd.registry import MODELS, PAIRINGS
from mmkd.testing import shrink, toy_classifier, toy_detector


class Foreign(nn.Module):
    """A classifier of another library."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 10)

    def forward(self, images, mode='tensor'):
        return self.fc(self.conv(images).mean((2, 3)))


class Wrapper(BaseModel):
    """As mmpretrain wraps such a one."""

    def __init__(self):
        super().__init__(ClsDataPreprocessor())
        self.model = Foreign()

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.model(inputs)


@pytest.fixture(autouse=True, scope='module')
def registered():
    MODELS.register_module(module=Wrapper)
    yield
    MODELS.module_dict.pop('Wrapper')


@functools.cache
def stock(path):
    return dict(shrink(path).model, _scope_='mmdet')


@functools.cache
def detr():
    model = load_config('mmdet::detr/detr_r50_8xb2-150e_coco.py').model
    model.backbone.update(depth=18, base_channels=8, stem_channels=8, init_cfg=None)
    model.neck.in_channels = [64]
    model.encoder.num_layers = model.decoder.num_layers = 1
    return dict(model, _scope_='mmdet')


FAMILIES = dict(
    classifier=toy_classifier,
    whole=lambda: dict(type='mmkd.Wrapper'),
    dense=lambda: stock('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'),
    rpn=lambda: stock('mmdet::rpn/rpn_r50_fpn_1x_coco.py'),
    two_stage=toy_detector,
    detr=detr,
)
FITNET = 'FitNetLoss'


@functools.cache
def network(family):
    return ROOT_MODELS.build(copy.deepcopy(FAMILIES[family]()))


def refusal(family, on, kind=FITNET, teacher=None):
    """What is said of it, or None if it is built."""
    losses = dict(loss_it=dict(type=kind, on=on))
    source = dict(config=FAMILIES[teacher or family](), allow_untrained=True)
    try:
        if teacher is None and on in PAIRINGS.module_dict:
            build_pairing(on, network(family), network(family))
        Distiller(network(family), losses, teacher=source, probe_size=64)
    except ConfigError as error:
        return str(error)


def advised(text):
    """The on= that a sentence names after what is wrong."""
    return set(re.findall(r"on='([\w.]+)'", text.partition('; ')[2]))


@pytest.mark.parametrize('family', FAMILIES)
def test_what_there_is_in_place_of_a_pairing(family):
    told = set()
    for name in PAIRINGS.module_dict:
        text = refusal(family, name)
        if text is None:
            told.discard(name)
            continue
        assert name in text or name.startswith('roi.') and 'roi.*' in text
        told |= advised(text)
        assert name not in told
        assert FITNET in text
    assert told
    for name in told:
        assert refusal(family, name) is None, name


@pytest.mark.parametrize('kind', ['KDLoss', 'DKDLoss'])
@pytest.mark.parametrize('family', ['classifier', 'dense', 'two_stage'])
def test_what_there_is_for_a_loss_that_does_not_take_features(family, kind):
    text = refusal(family, 'backbone', kind)
    told = set(re.findall(r"on='([\w.]+)'", text))
    assert bool(told) == (family != 'dense')
    for name in told:
        assert refusal(family, name, kind) is None
    if not told:
        assert FITNET in text and refusal(family, 'backbone') is None


def test_boxes_have_no_labels():
    text = refusal('two_stage', 'roi.boxes', 'DKDLoss')
    assert 'needs labels' in text and "on='roi.logits'" in text


@pytest.mark.parametrize('pair', [('dense', 'two_stage'), ('two_stage', 'dense')])
def test_two_kinds_of_detectors_have_their_necks(pair):
    student, teacher = pair
    text = refusal(student, 'roi.logits', teacher=teacher)
    assert advised(text) == {'neck'}
    assert "resize='student'" in refusal(student, 'neck', teacher=teacher)
    on = dict(student='neck', resize='student')
    assert refusal(student, on, teacher=teacher) is None


def test_a_transformers_head_is_told_the_parts_that_are_there():
    text = refusal('detr', 'bbox_head')
    parts = text.rpartition('one of ')[2].rstrip('.').split(', ')
    assert parts == ['backbone', 'neck']
