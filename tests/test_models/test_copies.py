"""Copies of a Distiller, and what it is built of: nothing that is shared moves."""

import copy

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

from mmkd.models import Distiller
from mmkd.testing import (
    classification_batch,
    detection_batch,
    toy_classifier,
    toy_detector,
)

SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
LOSSES = dict(
    classifier=dict(
        loss_kd=dict(type='KDLoss', on='logits'),
        # Both ask the teacher's network itself.
        loss_srrl=dict(type='SRRLLoss', on='backbone'),
    ),
    detector=dict(
        loss_kd=dict(type='KDLoss', on='roi.logits'),
        loss_neck=dict(type='FitNetLoss', on='neck'),
    ),
)
BATCHES = dict(classifier=classification_batch, detector=detection_batch)
TOYS = dict(classifier=toy_classifier, detector=toy_detector)


def distiller(kind, student=None):
    torch.manual_seed(0)
    spec = TOYS[kind]()
    # Another input is made for it, so that a part that renormalises is there too.
    teacher = copy.deepcopy(spec)
    teacher.data_preprocessor.update(mean=[10.0] * 3, std=[20.0] * 3)
    return Distiller(
        student or spec,
        LOSSES[kind],
        teacher=dict(config=teacher, allow_untrained=True),
        probe_size=64,
    )


def loss_of(model, kind):
    """The distillation losses of a step, in the precision of the student."""
    torch.manual_seed(0)
    data = model.data_preprocessor(BATCHES[kind](), True)
    dtype = next(model.student.parameters()).dtype
    for sample in data['data_samples']:
        if 'gt_instances' in sample:
            sample.gt_instances.bboxes = sample.gt_instances.bboxes.to(dtype)
    losses = model(data['inputs'].to(dtype), data['data_samples'], mode='loss')
    return torch.stack([losses[name] for name in LOSSES[kind]]).detach()


@pytest.mark.parametrize('kind', TOYS)
class TestACopyDoesNotMoveTheTeacher:
    def test_cast(self, kind):
        model = distiller(kind)
        expected = loss_of(distiller(kind), kind)
        twin = copy.deepcopy(model).double()
        network = model.teachers['teacher'].model
        assert {p.dtype for p in network.parameters()} == {torch.float32}
        assert torch.equal(loss_of(model, kind), expected)
        if kind == 'classifier':  # mmdet's anchors are of single precision
            near = dict(rtol=1e-3, atol=1e-5)
            torch.testing.assert_close(loss_of(twin, kind).float(), expected, **near)
            assert twin.teachers['teacher'].model is not network
            assert torch.equal(loss_of(distiller(kind), kind), expected)

    def test_moved_to_another_device(self, kind):
        model = distiller(kind)
        expected = loss_of(distiller(kind), kind)
        # As EMAHook(device=...) does.
        average = ExponentialMovingAverage(model, device=torch.device('meta'))
        assert torch.equal(loss_of(model, kind), expected)
        network = model.teachers['teacher'].model
        assert average.module.teachers['teacher'].model is not network
        moved = average.module.teachers['teacher'].model.parameters()
        assert {parameter.device.type for parameter in moved} == {'meta'}

    def test_where_it_is_not_moved_it_shares(self, kind):
        model = distiller(kind)
        twin = copy.deepcopy(copy.deepcopy(model))
        twin.float().to('cpu')
        assert twin.teachers['teacher'].model is model.teachers['teacher'].model
        assert torch.equal(loss_of(twin, kind), loss_of(distiller(kind), kind))

    def test_the_copy_outlives_the_original(self, kind):
        model = distiller(kind)
        expected = loss_of(distiller(kind), kind)
        twin = copy.deepcopy(model)
        model.double()
        del model
        assert torch.equal(loss_of(twin, kind), expected)

    def test_trains_on(self, kind):
        model = distiller(kind)
        twin = copy.deepcopy(model)
        wrapper = build_optim_wrapper(twin, SGD)
        before = [parameter.clone() for parameter in twin.student.parameters()]
        twin.train_step(BATCHES[kind](), wrapper)
        assert not all(map(torch.equal, before, twin.student.parameters()))
        untouched = distiller(kind)
        assert all(map(torch.equal, model.parameters(), untouched.parameters()))


@pytest.mark.parametrize('kind', TOYS)
def test_building_changes_no_config(kind):
    student = TOYS[kind]()
    losses = copy.deepcopy(LOSSES[kind])
    teacher = dict(config=TOYS[kind](), allow_untrained=True)
    before = copy.deepcopy((student, losses, teacher))
    Distiller(student, losses, teacher=teacher, probe_size=64)
    assert (student, losses, teacher) == before
    Distiller(student, losses, teacher=teacher, probe_size=64)


@pytest.mark.parametrize('kind', TOYS)
def test_a_student_that_is_somewhere_else_takes_its_teacher_there(kind):
    """As a module on a GPU does; here one in double precision."""
    torch.manual_seed(0)
    student = MODELS.build(TOYS[kind]()).double()
    model = distiller(kind, student)
    network = model.teachers['teacher'].model
    assert {p.dtype for p in network.parameters()} == {torch.float64}
    assert {p.dtype for p in model.distill.parameters()} <= {torch.float64}
    if kind == 'classifier':
        assert loss_of(model, kind).isfinite().all()
