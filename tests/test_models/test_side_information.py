"""What losses ask for by name, out of the data samples."""

import copy

import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.logging import MessageHub

from mmkd.errors import ConfigError
from mmkd.models import Distiller, DistillLoss
from mmkd.models.side_information import SIDE_INFORMATION
from mmkd.registry import MODELS
from mmkd.testing import (
    classification_batch,
    detection_batch,
    toy_classifier,
    toy_detector,
)

CPU = torch.device('cpu')


@MODELS.register_module()
class AskingLoss(DistillLoss):
    """Keeps what it was told."""

    def __init__(self, needs, broken=False):
        super().__init__()
        self.needs = tuple(needs)
        self.broken = broken

    def compare_levels(self, student, teacher, targets, **side):
        self.told = side
        value = super().compare_levels(student, teacher, targets)
        return value.expand(2) if self.broken else value

    def compare(self, student, teacher, target=None):
        return (student - teacher).square().mean()


def build(make, **loss):
    torch.manual_seed(0)
    return Distiller(
        make(),
        dict(loss_it=dict(type='AskingLoss', **loss)),
        teacher=dict(config=make(), allow_untrained=True),
        probe_size=64,
    )


def told(make, batch, steps=1, **loss):
    model = build(make, **loss)
    MessageHub.get_current_instance().update_info('iter', 0)
    for _ in range(steps):
        model(**model.data_preprocessor(copy.deepcopy(batch), True), mode='loss')
    return model.distill['loss_it'].loss.told


def test_of_a_classifiers_images():
    batch = classification_batch(n=3)
    side = told(toy_classifier, batch, on='logits', needs=['index', 'labels'])
    assert side['index'].tolist() == [0, 1, 2] and set(side) == {'index'}


def test_of_a_detectors_images():
    batch = detection_batch(objects=(3, 0))
    wanted = [sample.gt_instances.bboxes.clone() for sample in batch['data_samples']]
    side = told(toy_detector, batch, on='neck', needs=['boxes', 'image_shape'])
    assert all(map(torch.equal, side['boxes'], wanted))
    assert side['image_shape'] == [(128, 128), (112, 128)]


def test_after_a_resize_of_the_whole_batch_they_are_those_of_what_is_seen():
    """As YOLOX's preprocessor does, which is the last to touch boxes and sizes."""

    def make():
        spec = toy_detector()
        resize = dict(type='BatchSyncRandomResize', random_size_range=(192, 192))
        resize.update(interval=1, size_divisor=64)
        spec.data_preprocessor.batch_augments = [resize]
        return spec

    batch = detection_batch(objects=(3, 2))
    wanted = [sample.gt_instances.bboxes * 1.5 for sample in batch['data_samples']]
    asked = dict(needs=['boxes', 'image_shape', 'padded_shape'], on='neck')
    side = told(make, batch, steps=2, **asked)
    torch.testing.assert_close(side['boxes'], wanted)
    assert side['image_shape'] == [(192, 192), (168, 192)]
    assert side['padded_shape'] == [(192, 192)] * 2


@pytest.mark.parametrize('wrapped', [False, True])
def test_boxes_are_plain_tensors_however_mmdet_wraps_them(wrapped):
    (sample,) = detection_batch(objects=(3,))['data_samples']
    wanted = sample.gt_instances.bboxes
    if wrapped:
        sample.gt_instances.bboxes = HorizontalBoxes(wanted)
    (found,) = SIDE_INFORMATION['boxes']([sample], CPU, 'loss_it')
    assert type(found) is torch.Tensor and torch.equal(found, wanted)


ADVICE = dict(
    index='which image is which.* meta_keys',
    image_shape='how large each image is.* meta_keys',
    padded_shape='how large the padded batch is.* train a detector',
    boxes='the true boxes.* train a detector',
)


@pytest.mark.parametrize('name', SIDE_INFORMATION)
def test_samples_that_do_not_say_are_named(name):
    batch = classification_batch(n=2)
    for sample in batch['data_samples']:
        for key in ('sample_idx', 'img_shape'):
            sample.__dict__.pop(key, None)
            sample._metainfo_fields.discard(key)
    for samples in (batch['data_samples'], None):
        with pytest.raises(ConfigError, match=f'loss_kd needs to know {ADVICE[name]}'):
            SIDE_INFORMATION[name](samples, CPU, 'loss_kd')


def test_samples_with_masks_alone_have_no_boxes():
    samples = detection_batch(masks=True)['data_samples']
    for sample in samples:
        del sample.gt_instances.bboxes
    with pytest.raises(ConfigError, match='the true boxes, .* have no bboxes'):
        SIDE_INFORMATION['boxes'](samples, CPU, 'loss_kd')


class TestTheDryRun:
    def test_gives_made_up_ones(self):
        model = build(
            toy_detector, on='neck', needs=['boxes', 'image_shape', 'padded_shape']
        )
        side = model.distill['loss_it'].loss.told
        assert [each.tolist() for each in side['boxes']] == [[[0, 0, 32, 32]]] * 2
        assert side['image_shape'] == side['padded_shape'] == [(64, 64)] * 2

    @pytest.mark.parametrize('name', ['boxes', 'image_shape', 'padded_shape'])
    def test_tries_what_asks_for_them(self, name):
        with pytest.raises(ConfigError, match='loss_it .* must be one number'):
            build(toy_detector, on='neck', needs=[name], broken=True)

    @pytest.mark.parametrize('name', ['boxes', 'padded_shape'])
    def test_refuses_a_classifier_that_is_asked_for_a_detectors(self, name):
        with pytest.raises(ConfigError, match='loss_it needs .* train a detector'):
            build(toy_classifier, on='neck', needs=[name])

    def test_has_no_place_in_a_training_set(self):
        model = build(toy_classifier, on='neck', needs=['index'], broken=True)
        assert not hasattr(model.distill['loss_it'].loss, 'told')
