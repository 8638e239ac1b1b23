"""A student that starts from its teacher's modules, when the Runner starts."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmkd.configs import load_config
from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.stock_network import build_network
from mmkd.testing import (
    detection_batch,
    shrink,
    toy_classifier,
    toy_detector,
)

LOSSES = dict(loss_neck=dict(type='FitNetLoss', on='neck'))
SPEED = dict(fold_bn=True, channels_last=True, dtype='bfloat16')
SAVES = dict(type='CheckpointHook', interval=1, by_epoch=False)
MODULES = ['neck', 'bbox_head']


class Noise(Dataset):
    """Four noise images with boxes."""

    metainfo = dict(classes=('cat', 'dog'))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        batch = detection_batch([2], classes=2, size=64, seed=index)
        return dict(inputs=batch['inputs'][0], data_samples=batch['data_samples'][0])


class Start(Hook):
    """Keeps what the student is when the first iteration comes."""

    def before_train(self, runner):
        self.weights = copy.deepcopy(runner.model.student.state_dict())


def retinanet(width=8, classes=2, norm=None):
    model = load_config('mmdet::_base_/models/retinanet_r50_fpn.py').model
    model.backbone.depth = 18
    model = shrink(Config(dict(default_scope='mmdet', model=model)), width).model
    model.bbox_head.num_classes = classes
    model.neck.norm_cfg = norm
    return dict(model, _scope_='mmdet')


@pytest.fixture(scope='module')
def specs():
    """Student and teacher, with batch norms in the neck to fold, of two widths."""
    norm = dict(type='BN')
    return retinanet(8, norm=norm), retinanet(12, norm=norm)


@pytest.fixture(scope='module')
def trained(specs, tmp_path_factory):
    """Path and weights of the teacher."""
    torch.manual_seed(7)
    model = build_network(specs[1])
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(torch.rand(tensor.shape) / 99)
    path = str(tmp_path_factory.mktemp('teacher') / 'a.pth')
    torch.save(dict(state_dict=model.half().state_dict()), path)  # as some publish
    return path, model.float().state_dict()


@pytest.fixture
def start(specs, trained, tmp_path):
    """Train, and return the student as it was then, and the Runner."""

    def train(work_dir='a', iters=1, student=None, inherit=MODULES, **kwargs):
        teacher = dict(config=specs[1], checkpoint=trained[0], inference=SPEED)
        model = dict(type='mmkd.Distiller', student=student or specs[0], losses=LOSSES)
        model.update(teacher=teacher, probe_size=64, inherit=inherit)
        hook = Start()
        runner = Runner(
            model,
            str(tmp_path / work_dir),
            train_dataloader=dict(
                dataset=Noise(),
                batch_size=2,
                sampler=dict(type='InfiniteSampler'),
                collate_fn=pseudo_collate,
            ),
            train_cfg=dict(by_epoch=False, max_iters=iters),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3, momentum=0.9)),
            default_hooks=dict(checkpoint=SAVES),
            custom_hooks=[hook],
            randomness=dict(seed=0),
            default_scope='mmdet',
            experiment_name=f'inherit {tmp_path / work_dir} {iters}',
            **kwargs,
        )
        runner.train()
        return hook.weights, runner

    return train


def same(state, wanted):
    return state.keys() == wanted.keys() and all(
        torch.equal(state[name], tensor) for name, tensor in wanted.items()
    )


def agrees(name, student, teacher):
    return name.startswith(('neck.', 'bbox_head.')) and (
        student[name].shape == teacher[name].shape
    )


def test_the_runner_starts_it_from_the_teachers(start, trained):
    weights, runner = start()
    alone, _ = start('alone', inherit=None)
    taken = [name for name in weights if agrees(name, weights, trained[1])]
    assert len(taken) > 50 and 'neck.lateral_convs.0.bn.running_var' in taken
    for name, tensor in weights.items():
        # What it does not inherit is as drawn without.
        wanted = trained[1] if name in taken else alone
        assert torch.equal(tensor, wanted[name]), name
    teacher = runner.model.teachers['teacher'].model
    assert isinstance(teacher.neck.lateral_convs[0].bn, nn.Identity)  # was folded


class TestACheckpointWins:
    def test_that_is_loaded(self, start, tmp_path):
        _, runner = start('before', inherit=None)
        weights, _ = start(load_from=str(tmp_path / 'before/iter_1.pth'))
        assert same(weights, runner.model.student.state_dict())

    def test_that_is_resumed_from(self, start, tmp_path):
        _, whole = start('whole', iters=2)
        _, first = start('parts')
        weights, runner = start('parts', iters=2, resume=True)
        assert same(weights, first.model.student.state_dict())
        assert same(runner.model.state_dict(), whole.model.state_dict())


def distiller(student, teacher, inherit, **kwargs):
    torch.manual_seed(0)
    teacher = dict(config=teacher, allow_untrained=True)
    losses = dict(loss_map=dict(type='FitNetLoss', on='backbone'))
    return Distiller(
        student, losses, teacher=teacher, inherit=inherit, probe_size=64, **kwargs
    )


@pytest.fixture
def logged(monkeypatch):
    """What the current logger is told."""
    lines = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'log', lambda level, text, **_: lines.append(str(text)))
    return lines


def head(model):
    return copy.deepcopy(model.student.head.state_dict())


def test_it_inherits_without_a_runner_and_once_only(logged):
    model = distiller(toy_classifier(), toy_classifier(), ['head'])
    assert any("head of the student start from the teacher's" in x for x in logged)
    assert any('2 of 2 tensors' in line for line in logged)
    wanted = model.teachers['teacher'].model.head.state_dict()
    assert same(head(model), wanted)
    twin = copy.deepcopy(model)  # as an EMAHook's, before weights are initialised
    for each in (model, twin):
        each.init_weights()
        assert same(head(each), wanted)
        each.student.head.fc.bias.data += 1
        trained = head(each)
        each.init_weights()  # does nothing more, as without
        assert same(head(each), trained)


def test_what_does_not_agree_is_said_and_drawn_as_without(logged):
    sides = toy_detector(classes=5), toy_detector(classes=4)
    own = distiller(*sides, ['roi_head']).student.state_dict()
    alone = distiller(*sides, None).student.state_dict()
    drawn = [name for name in own if torch.equal(own[name], alone[name])]
    other = [name for name in own if 'fc_cls' in name or 'fc_reg' in name]
    assert set(drawn) == {name for name in own if 'roi_head' not in name} | {*other}
    (line,) = [line for line in logged if 'roi_head of the student start' in line]
    assert (
        '4 of 8 tensors; not roi_head.bbox_head.fc_cls.weight (6x32 and 5x32)' in line
    )


def test_a_teacher_of_several_is_named():
    specs = [toy_classifier(width=8), toy_classifier(width=8)]
    teachers = {
        name: dict(config=spec, allow_untrained=True) for name, spec in zip('ab', specs)
    }
    losses = dict(loss_kd=dict(type='KDLoss', on='logits', teacher='a'))
    kwargs = dict(losses=losses, teachers=teachers, probe_size=32)
    inherit = dict(teacher='b', modules='head')
    model = Distiller(toy_classifier(), inherit=inherit, **kwargs)
    assert same(head(model), model.teachers['b'].model.head.state_dict())
    assert not same(head(model), model.teachers['a'].model.head.state_dict())
    with pytest.raises(ConfigError, match='inherit: teacher=None, but there are a, b'):
        Distiller(toy_classifier(), inherit=['head'], **kwargs)


def test_parts_of_another_kind_keep_their_weights(logged):
    """Of one kind of RoI head, whose box heads are of two."""
    student, teacher = toy_detector('mask'), toy_detector('mask')
    kind = dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=32)
    teacher.roi_head.bbox_head.update(kind)
    model = distiller(student, teacher, 'roi_head')
    heads = [side.roi_head for side in (model.student, model.teachers['teacher'].model)]
    assert same(*(part.mask_head.state_dict() for part in heads))
    own, others = (part.bbox_head.fc_cls.weight for part in heads)
    assert own.shape == others.shape and not torch.equal(own, others)
    assert any('bbox_head.fc_cls.weight (in another kind of' in line for line in logged)


FCOS = dict(
    type='FCOSHead',
    num_classes=2,
    in_channels=32,
    feat_channels=32,
    strides=[8, 16, 32, 64, 128],
)


@pytest.mark.parametrize(
    'inherit, sentence',
    [
        (['bbox_head'], "student's bbox_head is a RetinaHead and the .* a FCOSHead"),
        (['necks'], "inherit: the student .* has no module 'necks'; closest: neck"),
        (['neck'], r'neck \(FPN\) no tensor agrees .*32x.* and 48x.*; leave it out'),
        ([], 'inherit must be a list of modules'),
        ([3], 'inherit must be a list of modules'),
        (True, 'inherit must be a list of modules'),
        (dict(neck=True), r'inherit must be .* or dict\(teacher=NAME'),
        (dict(teacher='b', modules=['neck']), "inherit: teacher='b', but there are t"),
    ],
)
def test_what_cannot_be_inherited_is_one_sentence(inherit, sentence, specs):
    teacher = copy.deepcopy(dict(specs[1], type='FCOS', bbox_head=FCOS))
    teacher['neck'].update(out_channels=48)
    teacher['bbox_head']['in_channels'] = 48
    with pytest.raises(ConfigError, match=sentence) as caught:
        distiller(specs[0], teacher, inherit)
    assert '\n' not in str(caught.value)


def test_without_losses_there_is_nobody_to_inherit_from():
    with pytest.raises(ConfigError, match='there is no teacher'):
        Distiller(toy_classifier(), losses={}, inherit=['head'])
