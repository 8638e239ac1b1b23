"""Optimizers settle learning rates by the names that the student gives parameters."""

import pytest
from mmengine.config import ConfigDict
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import DefaultOptimWrapperConstructor, build_optim_wrapper
from mmengine.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS, DefaultScope
from torch import nn

from mmkd.construct import build_from
from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.testing import toy_classifier

LR = 1e-3
KD = dict(loss_kd=dict(type='KDLoss', on='logits'))
#: Its adapter is trained.
FITNET = dict(loss_map=dict(type='FitNetLoss', on='backbone'))
MMDET = 'mmdet.LearningRateDecayOptimizerConstructor'
MMPRETRAIN = 'mmpretrain.LearningRateDecayOptimWrapperConstructor'


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class OwnConstructor(DefaultOptimWrapperConstructor):
    """Walks the model in a way of its own: by the names of its children."""

    def add_params(self, params, module, **kwargs):
        for name, child in module.named_children():
            lr = self.base_lr * (0.1 if name == 'backbone' else 1)
            params += [dict(params=[each], lr=lr) for each in child.parameters()]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PlainConstructor:
    """Is none of MMEngine's."""

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        self.own = OwnConstructor(optim_wrapper_cfg, dict(any=True))

    def __call__(self, model):
        assert not hasattr(model, 'student')
        return self.own(model)


CONSTRUCTORS = dict(
    layer_wise=(MMDET, dict(decay_rate=0.7, decay_type='layer_wise', num_layers=6)),
    stage_wise=(MMDET, dict(decay_rate=0.7, decay_type='stage_wise', num_layers=6)),
    depth=(MMPRETRAIN, dict(layer_decay_rate=0.5, norm_decay_mult=0.0)),
    own=('OwnConstructor', dict(any=True)),
    plain=('PlainConstructor', None),
    keys=(
        'DefaultOptimWrapperConstructor',
        dict(
            custom_keys={
                'backbone.stages.0': dict(lr_mult=0.1),
                '.backbone': dict(lr_mult=0.2),  # what no stock name has
            },
            bias_lr_mult=2.0,
        ),
    ),
)


def network(width=4):
    model = toy_classifier()
    channels = [width, 2 * width, 4 * width, 8 * width]
    model.backbone = ConfigDict(
        type='ConvNeXt', arch=dict(depths=[1, 1, 3, 1], channels=channels)
    )
    model.head.in_channels = channels[-1]
    model.pop('neck')
    return model


def distiller(losses):
    teacher = dict(config=network(8), allow_untrained=True)
    return Distiller(network(), losses, teacher=teacher if losses else None)


def groups(model, kind, paramwise_cfg):
    """Return how each parameter is trained, in order, by its number in memory."""
    settings = dict(
        type='OptimWrapper',
        constructor=kind,
        paramwise_cfg=paramwise_cfg,
        optimizer=dict(type='AdamW', lr=LR, weight_decay=0.05),
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        wrapper = build_optim_wrapper(model, settings)
    return {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }


def trained(model, kind, paramwise_cfg, student=None):
    """Return the same by names of the student, and what else is trained."""
    student = model if student is None else student
    found = groups(model, kind, paramwise_cfg)
    names = {id(each): name for name, each in student.named_parameters()}
    known = [(names[key], found[key]) for key in found if key in names]
    return known, {key: value for key, value in found.items() if key not in names}


@pytest.fixture(scope='module')
def stock():
    return build_from(MODELS, network())


@pytest.fixture(scope='module', params=['none', 'kd', 'adapter'])
def model(request):
    return distiller(dict(none={}, kd=KD, adapter=FITNET)[request.param])


@pytest.mark.parametrize('case', CONSTRUCTORS)
def test_the_students_rates_are_the_stock_ones(model, stock, case):
    wanted, _ = trained(stock, *CONSTRUCTORS[case])
    known, others = trained(model, *CONSTRUCTORS[case], student=model.student)
    assert known == wanted
    assert len({lr for _, (lr, _) in known}) > 1
    extras = {id(each): each for each in model.distill.parameters()}
    assert others.keys() == extras.keys()
    if case != 'keys':  # which has a rate for biases of its own
        assert {lr for lr, _ in others.values()} <= {LR}


def test_it_is_so_under_ddp(stock):
    wrapped = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapped)
    wrapped.module = distiller(FITNET)
    wanted, _ = trained(stock, *CONSTRUCTORS['own'])
    known, others = trained(wrapped, *CONSTRUCTORS['own'], wrapped.module.student)
    assert known == wanted and others


def test_the_model_is_the_same_afterwards():
    model = distiller(FITNET)
    before = [(name, id(each)) for name, each in model.named_parameters()]
    children = list(model.student._modules)
    groups(model, *CONSTRUCTORS['own'])
    assert [(name, id(each)) for name, each in model.named_parameters()] == before
    assert list(model.student._modules) == children


def test_keys_that_name_the_student_go_on_working():
    model = distiller(FITNET)
    keys = {'student.backbone': dict(lr_mult=0.1), 'distill': dict(lr_mult=3.0)}
    kind = 'DefaultOptimWrapperConstructor'
    known, others = trained(model, kind, dict(custom_keys=keys), model.student)
    slow = {name for name, (lr, _) in known if lr == pytest.approx(0.1 * LR)}
    assert slow == {name for name, _ in known if name.startswith('backbone.')}
    assert [lr for lr, _ in others.values()] == pytest.approx([3 * LR] * 2)


def test_keys_that_name_the_student_are_refused_where_nothing_would_see_them():
    settings = dict(layer_decay_rate=0.5, custom_keys={'student.head': {}})
    sentence = "custom_keys names 'student.head', .*; leave 'student' out"
    with pytest.raises(ConfigError, match=sentence):
        groups(distiller(KD), MMPRETRAIN, settings)


def test_a_student_with_a_part_of_that_name_is_refused():
    student = build_from(MODELS, toy_classifier())
    student.distill = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match="has a module named 'distill'"):
        Distiller(student, {})
