"""What losses ask for by name, out of the data samples."""

import pytest
import torch

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

    def __init__(self, needs):
        super().__init__()
        self.needs = tuple(needs)

    def compare_levels(self, student, teacher, targets, **side):
        self.told = side
        return super().compare_levels(student, teacher, targets)

    def compare(self, student, teacher, target=None):
        return (student - teacher).square().mean()


def told(make, batch, **loss):
    torch.manual_seed(0)
    model = Distiller(
        make(),
        dict(loss_it=dict(type='AskingLoss', **loss)),
        teacher=dict(config=make(), allow_untrained=True),
    )
    data = model.data_preprocessor(batch, True)
    model(**data, mode='loss')
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


@pytest.mark.parametrize('name', SIDE_INFORMATION)
def test_samples_that_do_not_say_are_named(name):
    batch = classification_batch(n=2)
    for sample in batch['data_samples']:
        for key in ('sample_idx', 'img_shape'):
            sample.__dict__.pop(key, None)
            sample._metainfo_fields.discard(key)
    for samples in (batch['data_samples'], None):
        with pytest.raises(ConfigError, match='loss_kd needs to know .* meta_keys'):
            SIDE_INFORMATION[name](samples, CPU, 'loss_kd')
