"""Batch norms that wait for other processes, in a run that has none."""

import copy

import pytest
import torch
import torch.distributed as dist
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.testing import detection_batch, toy_detector

KINDS = ['SyncBN', 'MMSyncBN']
LOSSES = dict(loss_kd=dict(type='KDLoss', on='roi.logits'))


def synchronised(kind):
    """A detector as the strong baselines of mmdet are: in backbone, neck and heads."""
    model = toy_detector('mask')
    norm = dict(type=kind, requires_grad=True)
    model.backbone.norm_cfg = model.neck.norm_cfg = norm
    model.roi_head.bbox_head.update(
        type='Shared4Conv1FCBBoxHead', conv_out_channels=32, norm_cfg=norm
    )
    model.roi_head.mask_head.norm_cfg = norm
    return model


def distiller(student, teacher):
    torch.manual_seed(0)
    teacher = dict(config=teacher, allow_untrained=True)
    return Distiller(student, LOSSES, teacher=teacher, probe_size=64)


def waits(model):
    """Whether it has a batch norm that asks other processes."""
    return any('SyncBatchNorm' in type(module).__name__ for module in model.modules())


@pytest.fixture
def group():
    """A process group of this process alone."""
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize('kind', KINDS)
class TestInOneProcess:
    def test_a_teacher_with_them_answers(self, kind):
        model = distiller(toy_detector('mask'), synchronised(kind))
        assert not waits(model.teachers['teacher'].model)

    def test_a_student_with_them_trains_once_the_runner_reverted_them(self, kind):
        model = distiller(synchronised(kind), synchronised(kind))
        assert waits(model.student)
        model = revert_sync_batchnorm(model)
        model.init_weights()
        data = model.data_preprocessor(detection_batch(masks=True), True)
        model(**data, mode='loss')['loss_kd'].backward()
        norm = model.student.neck.fpn_convs[0].bn
        assert norm.weight.grad.abs().sum() > 0 and norm.num_batches_tracked == 1


@pytest.mark.parametrize('kind', KINDS)
def test_among_several_processes_the_student_keeps_them_and_is_copied(kind, group):
    model = distiller(synchronised(kind), synchronised(kind))
    assert not waits(model.teachers['teacher'].model)
    assert waits(model.student) and waits(copy.deepcopy(model).student)


def test_it_asks_all_processes(group):
    """As mmcv's own does, which keeps their group."""
    layer = MODELS.build(dict(type='MMSyncBN', num_features=2))
    assert layer.group_size == dist.get_world_size(layer.group) == 1


def test_a_layer_that_nobody_registered_is_said():
    model = toy_detector()
    model.backbone.norm_cfg = dict(type='NaiveSyncBN')
    with pytest.raises(ConfigError, match='norm_cfg.*custom_imports'):
        distiller(toy_detector(), model)
