"""How kinds of networks are run, and the dry run on a made-up batch."""

import copy
import random

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from mmkd.configs import build_model, load_config
from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.families import Family, Run, family_of
from mmkd.models.taps import Taps
from mmkd.registry import FAMILIES
from mmkd.testing import (
    detection_batch,
    toy_classifier,
    toy_detector,
)

UNTRAINED = dict(allow_untrained=True)


def stock(path, **changes):
    """A stock model's config without weights to load, shrunk by ``changes``."""
    cfg = load_config(path)
    model = Config(dict(model=cfg.model))
    model.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    return dict(model.model, _scope_=cfg.default_scope)


SMALL = {
    'backbone.depth': 18,
    'backbone.base_channels': 8,
    'backbone.stem_channels': 8,
    'backbone.init_cfg': None,
}
RETINA = {
    **SMALL,
    'neck.in_channels': [8, 16, 32, 64],
    'neck.out_channels': 32,
    'bbox_head.in_channels': 32,
    'bbox_head.feat_channels': 32,
    'bbox_head.num_classes': 5,
}


def retinanet():
    return stock('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', **RETINA)


class Whole(nn.Module):
    """As mmpretrain's wrappers of timm and Hugging Face."""

    def __init__(self):
        super().__init__()
        self.model = nn.Linear(3, 2)


KINDS = [
    (toy_classifier, 'Classifier'),
    (toy_detector, 'TwoStage'),
    (lambda: toy_detector('cascade'), 'TwoStage'),
    (retinanet, 'Dense'),
]


@pytest.mark.parametrize('make, kind', KINDS)
def test_each_kind_has_its_room(make, kind):
    assert type(family_of(ROOT_MODELS.build(make()))).__name__ == kind


def test_other_libraries_networks_run_whole():
    assert type(family_of(Whole())).__name__ == 'Whole'


def test_the_last_registered_family_that_fits_comes_first():
    from mmkd.models.families import Family
    from mmkd.registry import FAMILIES

    class Odd(nn.Module):
        pass

    class OddFamily(Family):
        @classmethod
        def fits(cls, model):
            return isinstance(model, Odd)

    FAMILIES.register_module(module=OddFamily)
    try:
        assert type(family_of(Odd())) is OddFamily
        assert type(family_of(Whole())).__name__ == 'Whole'
    finally:
        FAMILIES.module_dict.pop('OddFamily')


def distiller(make, losses, **more):
    torch.manual_seed(0)
    teacher = dict(config=make(), **UNTRAINED)
    return Distiller(make(), losses, teacher=teacher, **more)


class TestOneStage:
    def test_maps_of_the_head_are_compared(self):
        losses = dict(loss_head=dict(type='FitNetLoss', on='bbox_head'))
        model = distiller(retinanet, losses).train()
        # Class scores of five levels, then boxes.
        assert len(model.distill['loss_head'].shapes) == 10
        data = model.data_preprocessor(detection_batch(), True)
        values = model(**data, mode='loss')
        values['loss_head'].backward()
        assert values['loss_head'] > 0
        assert model.student.backbone.layer2[0].conv1.weight.grad.any()

    def test_an_equal_teacher_gives_zero(self):
        losses = dict(loss_head=dict(type='FitNetLoss', on=['neck', 'bbox_head']))
        model = distiller(retinanet, losses).eval()
        model.teachers['teacher'].model.load_state_dict(model.student.state_dict())
        data = model.data_preprocessor(detection_batch(), True)
        assert model(**data, mode='loss')['loss_head'].item() == pytest.approx(0)

    @pytest.mark.parametrize(
        'module, why',
        [
            ('bbox_head.fc_cls', 'samples no RoIs'),
            ('mask_head.convs', 'RetinaNet. has no mask head'),
        ],
    )
    def test_it_has_no_rois_for_a_two_stage_teacher(self, module, why):
        on = dict(student='neck', teacher=f'roi_head.{module}')
        with pytest.raises(ConfigError, match=why):
            Distiller(
                retinanet(),
                dict(loss_a=dict(type='SPLoss', on=on)),
                teacher=dict(config=toy_detector('mask'), **UNTRAINED),
            )


def test_a_transformers_head_is_refused_and_its_features_are_not():
    def detr():
        path = 'mmdet::detr/detr_r50_8xb2-150e_coco.py'
        return stock(path, **SMALL, **{'neck.in_channels': [64]})

    with pytest.raises(ConfigError, match="'bbox_head' alone; .* backbone, neck"):
        distiller(detr, dict(loss_a=dict(type='FitNetLoss', on='bbox_head')))
    losses = {f'loss_{k}': dict(type=f'{k}Loss', on='neck') for k in ('FitNet', 'FGD')}
    model = distiller(detr, losses)
    assert model.distill['loss_FitNet'].shapes == [((2, 256, 4, 4),) * 2]


@pytest.mark.parametrize(
    'path',
    [
        'deformable_detr/deformable-detr_r50_16xb2-50e_coco',
        'solo/solo_r50_fpn_1x_coco',
        'mask2former/mask2former_r50_8xb2-lsj-50e_coco',
        'rpn/rpn_r50_fpn_1x_coco',
    ],
)
def test_samples_of_any_detector_have_boxes(path):
    with torch.device('meta'):
        model = build_model(load_config(f'mmdet::{path}.py'))
    samples = family_of(model).samples(torch.zeros(2, 3, 64, 96))
    assert [sample.gt_instances.bboxes.shape for sample in samples] == [(1, 4)] * 2


class TestRun:
    def test_only_the_stages_that_are_tapped_run(self):
        model = ROOT_MODELS.build(toy_detector('cascade')).eval()
        paths = ['roi_head.bbox_head.1']
        inputs = torch.randn(2, 3, 64, 64)
        family = family_of(model)
        heads = [f'roi_head.bbox_head.{stage}' for stage in range(3)]
        with Taps(model, heads, 'student') as taps:
            family.rehearse(Run(model, inputs, family.samples(inputs)), paths)
        assert [len(taps[head].calls) for head in heads] == [0, 1, 0]

    @pytest.mark.parametrize('make', [toy_classifier, toy_detector, retinanet])
    def test_samples_are_such_that_the_student_trains_on_them(self, make):
        model = ROOT_MODELS.build(make()).train()
        inputs = torch.randn(2, 3, 64, 64)
        losses = model(inputs, family_of(model).samples(inputs), mode='loss')
        total, _ = model.parse_losses(losses)
        assert total.isfinite()


class Counting(nn.Module):
    """Notices that it ran: in a buffer, in an attribute, in random numbers."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.norm = nn.BatchNorm2d(layer.out_channels)
        self.calls = 0
        self.modes = []

    def forward(self, maps):
        self.calls += 1
        self.modes.append(self.training)
        torch.rand(1), np.random.rand(), random.random()
        return nn.functional.dropout(self.norm(self.layer(maps)), training=True)


class TestDryRun:
    losses = dict(loss_a=dict(type='FitNetLoss', on='backbone.layer2'))

    def student(self):
        torch.manual_seed(0)
        student = ROOT_MODELS.build(toy_classifier())
        student.backbone.conv1 = Counting(student.backbone.conv1)
        return student.eval()

    def test_it_leaves_the_student_and_all_random_numbers_alone(self):
        student = self.student()
        before = copy.deepcopy(student.state_dict())
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        expected = torch.rand(1).item(), np.random.rand(), random.random()
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        teacher = dict(config=toy_classifier(), **UNTRAINED)
        Distiller(student, self.losses, teacher=teacher, probe_size=64)
        assert (torch.rand(1).item(), np.random.rand(), random.random()) == expected
        after = student.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)
        assert student.backbone.conv1.calls == 0
        assert not any(module.training for module in student.modules())

    def test_it_runs_the_student_as_training_will(self, monkeypatch):
        student, seen = self.student(), []
        forward = Counting.forward

        def watch(module, maps):
            seen.append(module.training)
            return forward(module, maps)

        monkeypatch.setattr(Counting, 'forward', watch)
        teacher = dict(config=toy_classifier(), **UNTRAINED)
        Distiller(student, self.losses, teacher=teacher, probe_size=64)
        assert seen == [True]


def test_batch_norms_that_wait_for_other_processes_do_not_in_a_dry_run(tmp_path):
    student = toy_classifier()
    student.backbone.norm_cfg = dict(type='SyncBN', requires_grad=True)
    store = f'file://{tmp_path / "store"}'
    dist.init_process_group('gloo', store, rank=0, world_size=1)
    try:
        teacher = dict(config=toy_classifier(), **UNTRAINED)
        model = Distiller(student, TestDryRun.losses, teacher=teacher, probe_size=64)
    finally:
        dist.destroy_process_group()
    norms = [m for m in model.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert norms, 'the student keeps its own'


class Broken(Family):
    """Of another project, not yet right."""

    broken = 'fits'

    @classmethod
    def fits(cls, model):
        return 1 / 0 if cls.broken == 'fits' else hasattr(model, 'head')

    def samples(self, inputs):
        return 1 / 0 if self.broken == 'samples' else super().samples(inputs)

    def early(self, run, paths):
        return 1 / 0 if self.broken == 'early' else super().early(run, paths)

    def rehearse(self, run, paths):
        return 1 / 0 if self.broken == 'rehearse' else super().early(run, paths)


@pytest.mark.parametrize('method', ['fits', 'samples', 'early', 'rehearse'])
def test_of_a_family_that_raises_the_class_is_named(method, monkeypatch):
    monkeypatch.setattr(Broken, 'broken', method)
    monkeypatch.setitem(FAMILIES.module_dict, 'Broken', Broken)
    teacher = dict(config=toy_classifier(), **UNTRAINED)
    with pytest.raises(ConfigError, match=r'Broken.*\(ZeroDivisionError'):
        Distiller(toy_classifier(), TestDryRun.losses, teacher=teacher)
