"""Whatever a loss draws, the student sees the same crops and samples the same RoIs."""

import random

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper

from mmkd.models import Distiller, DistillLoss
from mmkd.models.randomness import RandomStream
from mmkd.registry import MODELS
from mmkd.testing import (
    classification_batch,
    detection_batch,
    toy_classifier,
    toy_detector,
)

SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0))
STAGES = [f'backbone.layer{number}' for number in (1, 2)]
UNIKD = dict(
    type='UniKDLoss', on=dict(student=[*STAGES, 'head'], teacher=[STAGES[0], 'head'])
)
CRD = dict(type='CRDLoss', on='neck', num_samples=40, negatives=8, feat_dim=4)
MLKD = dict(type='MLKDLoss', on='logits', views=2)
MGD = dict(type='MGDLoss', on=STAGES)
#: Of a detector.
ROIS = dict(type='UniKDLoss', on=['roi_head.bbox_roi_extractor', 'roi_head.bbox_head'])
MASKED = dict(type='MGDLoss', on='neck')


@MODELS.register_module()
class DrawingLoss(DistillLoss):
    """Draws from every stream that there is."""

    def compare(self, student, teacher, target=None):
        numbers = [random.random(), np.random.rand(), torch.rand(()).item()]
        self.parts_seen = getattr(self, 'parts_seen', []) + [numbers]
        return (student - teacher).square().mean() * sum(numbers)


def classifier(losses, preprocessor='CropFlipPreprocessor'):
    student = toy_classifier()
    student.data_preprocessor = dict(
        student.data_preprocessor, type=f'mmkd.{preprocessor}'
    )
    teacher = dict(config=toy_classifier(width=12), allow_untrained=True)
    torch.manual_seed(0)
    model = Distiller(student, losses, teacher=teacher, probe_size=32)
    for term in model.terms:
        term.loss.see_training_set(torch.arange(40) % 10)
    return model


def inputs_seen(model, batch_of, module='backbone', steps=3):
    """What a module of the student gets in the first steps of a training."""
    MessageHub.get_instance('test_randomness')
    wrapper = build_optim_wrapper(model, SGD)
    seen = []
    model.student.get_submodule(module).register_forward_pre_hook(
        lambda _, args: seen.append(args[-1].detach().clone())
    )
    torch.manual_seed(5)
    for step in range(steps):
        MessageHub.get_current_instance().update_info('iter', step)
        model.train_step(batch_of(seed=step), wrapper)
    return seen


@pytest.mark.parametrize('loss', [UNIKD, CRD, MGD, dict(type='DrawingLoss', on='neck')])
def test_crops_are_those_of_the_student_alone(loss):
    alone = inputs_seen(classifier({}), classification_batch)
    taught = inputs_seen(classifier(dict(loss_it=loss)), classification_batch)
    assert all(map(torch.equal, alone, taught)) and len(alone) == 3


def test_the_weak_view_is_that_of_the_student_alone():
    alone = inputs_seen(classifier({}), classification_batch)
    model = classifier(dict(loss_mlkd=MLKD), 'WeakStrongPreprocessor')
    taught = inputs_seen(model, classification_batch)
    for images, views in zip(alone, taught):
        assert torch.equal(images, views[: len(images)])
        assert not torch.equal(images, views[len(images) :])


@pytest.mark.parametrize('loss', [ROIS, MASKED])
def test_rois_are_those_of_the_student_alone(loss):
    seen = []
    for losses in ({}, dict(loss_it=loss)):
        torch.manual_seed(0)
        teacher = dict(config=toy_detector(width=12), allow_untrained=True)
        model = Distiller(toy_detector(), losses, teacher=teacher if losses else None)
        seen.append(inputs_seen(model, detection_batch, 'roi_head.bbox_roi_extractor'))
    assert all(map(torch.equal, *seen)) and len(seen[0]) == 3


def drawn(model, iterations, seed=3):
    torch.manual_seed(seed)
    hub = MessageHub.get_instance('test_randomness')
    data = model.data_preprocessor(classification_batch(), False)
    loss = model.distill['loss_it'].loss
    loss.parts_seen = []
    for iteration in iterations:
        hub.update_info('iter', iteration)
        model(data['inputs'], data['data_samples'], mode='loss')
    return loss.parts_seen


def test_what_is_drawn_is_a_function_of_seed_and_iteration():
    spec = dict(loss_it=dict(type='DrawingLoss', on='neck'))
    first = drawn(classifier(spec), range(4))
    resumed = drawn(classifier(spec), range(2, 4))
    assert resumed == first[2:]
    assert len({tuple(numbers) for numbers in first}) == 4
    other = drawn(classifier(spec), range(4), seed=4)
    assert not any(map(list.__eq__, first, other))


def test_without_a_runner_each_step_draws_anew():
    stream, numbers = RandomStream('test'), []
    for _ in range(3):
        with stream.step(torch.device('cpu')):
            numbers.append(torch.rand(()).item())
    assert len(set(numbers)) == 3


def test_streams_of_other_names_draw_other_numbers():
    numbers = []
    for name in ('a', 'b', 'a'):
        with RandomStream(name).step(torch.device('cpu')):
            numbers.append(torch.rand(()).item())
    assert numbers[0] == numbers[2] != numbers[1]


def test_an_error_inside_leaves_the_streams_as_they_were():
    state = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    with pytest.raises(ZeroDivisionError), RandomStream('a').step(torch.device('cpu')):
        torch.rand(1), np.random.rand(), random.random()
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]
    assert random.getstate() == state[2]
