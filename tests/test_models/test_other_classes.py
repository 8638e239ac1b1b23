"""Teachers of other classes: their features are compared, what they predict is not."""

import functools

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.visualization import Visualizer

from mmkd.errors import CheckpointError, ConfigError
from mmkd.models import Distiller
from mmkd.models.guards import predicts_classes
from mmkd.testing import (
    classification_batch,
    detection_batch,
    shrink,
    toy_classifier,
    toy_detector,
)

CLASSES = tuple('abcde')


@functools.cache
def built(make):
    return MODELS.build(make())


def retinanet():
    model = shrink('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').model
    model.bbox_head.num_classes = len(CLASSES)
    return dict(model, _scope_='mmdet')


def first_step(make, on, classes, batch):
    Visualizer.get_instance('test_other_classes').dataset_meta = dict(classes=CLASSES)
    losses = dict(loss_it=dict(type='FitNetLoss', on=on))
    teacher = dict(config=make(), allow_untrained=True)
    model = Distiller(make(), losses, teacher=teacher, probe_size=64).train()
    model.teachers['teacher'].classes = classes
    model(**model.data_preprocessor(batch, True), mode='loss')


FEATURES = [
    (toy_classifier, 'neck'),
    (toy_classifier, 'backbone.layer3'),
    (toy_detector, 'neck'),
    (toy_detector, 'rpn_head'),
    (toy_detector, 'rpn_head.rpn_cls'),
    (toy_detector, 'roi_head.bbox_head.shared_fcs.0'),
    (retinanet, 'neck'),
    (retinanet, 'bbox_head.cls_convs.0.conv'),
    (retinanet, 'bbox_head.retina_reg'),
]
PREDICTIONS = [
    (toy_classifier, 'logits'),
    (toy_classifier, 'head'),
    (toy_classifier, 'head.fc'),
    (toy_detector, 'roi.logits'),
    (toy_detector, 'roi_head.bbox_head'),
    (toy_detector, 'roi_head.bbox_head.fc_cls'),
    (toy_detector, 'roi_head.bbox_head.fc_reg'),
    (retinanet, 'bbox_head'),
    (retinanet, 'bbox_head.retina_cls'),
]


@pytest.mark.parametrize('make, on', FEATURES)
def test_features_are_of_no_class(make, on):
    assert not predicts_classes(built(make), on)


@pytest.mark.parametrize('make, on', PREDICTIONS)
def test_predictions_are(make, on):
    named = dict([('logits', 'head'), ('roi.logits', 'roi_head.bbox_head')])
    assert predicts_classes(built(make), named.get(on, on))


@pytest.mark.parametrize('classes', [('x', *CLASSES[1:]), (*CLASSES, 'f')])
@pytest.mark.parametrize(
    'on, passes', [('neck', True), ('head.fc', False), ('logits', False)]
)
def test_a_classifier_of_others(on, passes, classes):
    batch = classification_batch(classes=len(CLASSES))
    if passes:
        return first_step(toy_classifier, on, classes, batch)
    with pytest.raises(CheckpointError, match='other classes.*features'):
        first_step(toy_classifier, on, classes, batch)


def test_a_detector_of_others():
    others = tuple('vwxyz')
    first_step(toy_detector, 'neck', others, detection_batch())
    with pytest.raises(CheckpointError, match='other classes.*features'):
        first_step(toy_detector, 'roi_head.bbox_head.fc_cls', others, detection_batch())
    first_step(toy_detector, 'roi_head.bbox_head.fc_cls', CLASSES, detection_batch())


def test_a_backbone_that_says_it_has_none():
    network = torch.nn.Module()
    network.backbone = torch.nn.Linear(2, 2)
    network.backbone.num_classes = -1
    assert not predicts_classes(network, 'backbone')


@pytest.mark.parametrize('on', ['roi_head.bbox_head.fc_cls', 'roi_head.bbox_head'])
def test_no_adapter_is_inferred_between_other_numbers_of_classes(on):
    """Where no checkpoint names classes their number does; features have adapters."""
    teacher = dict(config=toy_detector(classes=7), allow_untrained=True)
    losses = dict(loss_it=dict(type='FitNetLoss', on=on))
    with pytest.raises(ConfigError, match='of the same classes'):
        Distiller(toy_detector(classes=5), losses, teacher=teacher)
