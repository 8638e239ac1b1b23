"""Copies of a Distiller, and what it is built of: nothing that is shared moves."""

import copy

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, Registry

from mmkd.configs import build_model
from mmkd.construct import build_from
from mmkd.models import Distiller
from mmkd.testing import (
    classification_batch,
    detection_batch,
    shrink,
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


def plain(value):
    """The same without a config's classes."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [*map(plain, value)] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize('make', [plain, ConfigDict])
@pytest.mark.parametrize('kind', TOYS)
@pytest.mark.parametrize('whole', [True, False])
def test_one_dict_describes_student_and_teacher(kind, make, whole):
    shared = make(TOYS[kind]())
    before = copy.deepcopy(shared)
    config = dict(model=shared) if whole else shared
    teacher = dict(config=config, allow_untrained=True)
    model = Distiller(shared, LOSSES[kind], teacher=teacher, probe_size=64)
    assert str(model.student) == str(model.teachers['teacher'].model)
    assert shared == before


def test_a_preprocessor_beside_the_model_stays_as_it_is():
    model = toy_classifier()
    model.train_cfg = dict(augments=[dict(type='Mixup', alpha=0.2)])
    given = dict(model.pop('data_preprocessor'), num_classes=10)
    given.pop('type')
    before = copy.deepcopy(given)
    build_model(Config(dict(model=model, data_preprocessor=given)))
    Distiller(model, {}, data_preprocessor=given)
    assert given == before


def test_a_teacher_given_as_a_model_alone_is_shrunk_as_its_student():
    model = toy_classifier(width=16)
    model = dict(type='mmkd.Distiller', student=model, losses=LOSSES['classifier'])
    model['teacher'] = dict(config=model['student'], checkpoint='a.pth')
    built = build_model(shrink(Config(dict(default_scope='mmpretrain', model=model))))
    assert str(built.student) == str(built.teachers['teacher'].model)


def test_what_is_built_takes_nothing_out_of_a_config():
    registry = Registry('greedy')

    @registry.register_module()
    class Greedy:
        def __init__(self, part, **known):
            self.known, self.name = known, part.pop('name')
            self.width = part.inner.pop('width')

    spec = dict(type='Greedy', part=dict(name='a', inner=dict(width=3)))
    for _ in range(2):
        built = build_from(registry, spec, other=1)
        assert (built.name, built.width, built.known) == ('a', 3, dict(other=1))


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
