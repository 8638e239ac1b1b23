"""CWD: the authors' figures, and RTMDet's connectors."""

import pytest
import torch
from torch import nn

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.adapters import ConvAdapter
from mmkd.models.losses import CWDLoss
from mmkd.models.losses.cwd_loss import cwd_loss, standardised
from mmkd.testing import toy_detector

SHAPE = (2, 5, 6, 4)


def draw(shape=SHAPE, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


@pytest.mark.golden('cwd')
def test_equals_the_authors_figures(golden):
    loss = CWDLoss(golden.params['tau'])
    golden.check(loss(golden.student, golden.teacher) * golden.params['loss_weight'])


@pytest.mark.golden('rtmdet_neck')
def test_equals_the_figures_of_rtmdets_connectors(golden):
    weight = golden.tensors['conv']
    adapter = ConvAdapter(weight.size(1), weight.size(0), bias=False).double()
    adapter.load_state_dict(dict(weight=weight))
    loss = CWDLoss(golden.params['tau'], standardise=True)
    value = loss([adapter(maps) for maps in golden.student], golden.teacher)
    # Named as the file does: a convolution without bias is its weight.
    learned = nn.ParameterDict(dict(conv=adapter.weight))
    golden.check(value, {'': learned})


def test_equals_a_slow_one():
    student, teacher = draw(), draw(seed=1)
    wanted = 0
    for pair in zip(student.flatten(0, 1), teacher.flatten(0, 1)):
        q, p = ((maps / 3).exp() / (maps / 3).exp().sum() for maps in pair)
        wanted += (p * (p / q).log()).sum().item() * 9 / 10
    assert cwd_loss(student, teacher, 3.0).item() == pytest.approx(wanted, rel=1e-10)


def test_a_shift_of_a_channel_changes_nothing():
    """So a student with the teacher's channels, shifted, is taught nothing."""
    teacher = draw()
    student = (teacher + draw((2, 5, 1, 1), seed=1)).requires_grad_()
    value = cwd_loss(student, teacher, 2.0)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-14)
    assert student.grad.abs().max() < 1e-15


def test_a_probability_of_zero_is_finite():
    """Which the logarithm of a softmax is not."""
    student = torch.tensor([[[[0.0, 1e4]]]], requires_grad=True)
    value = cwd_loss(student, torch.tensor([[[[1e4, 0.0]]]]))
    value.backward()
    assert value.item() == pytest.approx(1e4) and student.grad.isfinite().all()


def test_levels_are_summed():
    levels = [draw(), draw((2, 3, 3, 2))], [draw(seed=1), draw((2, 3, 3, 2), seed=1)]
    wanted = sum(map(cwd_loss, *levels)).item()
    assert CWDLoss()(*levels).item() == pytest.approx(wanted, rel=1e-12)


class TestStandardise:
    def test_is_a_batch_norm_that_keeps_nothing(self):
        norm = nn.BatchNorm2d(5, affine=False, track_running_stats=False).double()
        maps = (3 * draw() + 2).requires_grad_()
        weight = draw(seed=1)
        gradients = [
            torch.autograd.grad((made(maps) * weight).sum(), maps)[0]
            for made in (standardised, norm)
        ]
        torch.testing.assert_close(standardised(maps), norm(maps))
        torch.testing.assert_close(*gradients)

    def test_scale_and_shift_change_nothing_in_training_or_not(self):
        student, teacher = draw(), draw(seed=1)
        loss = CWDLoss(standardise=True)
        before = loss(student, teacher).item()
        scale = draw((1, 5, 1, 1), seed=2).exp()
        for train in (True, False):
            value = loss.train(train)(scale * student + 4, 3 * teacher)
            assert value.item() == pytest.approx(before, rel=1e-4)
        assert not loss.state_dict()

    def test_a_single_pixel_is_a_zero(self):
        student = draw((1, 5, 1, 1)).requires_grad_()
        sides = (standardised(maps) for maps in (student, draw((1, 5, 1, 1), seed=1)))
        value = cwd_loss(*sides)
        value.backward()
        assert value == 0 and not student.grad.any()


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (dict(tau=0), 'CWDLoss: tau must be a number above 0'),
        (dict(standardise=1), 'CWDLoss: standardise must be True or False'),
    ],
)
def test_bad_arguments(arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        CWDLoss(**arguments)


@pytest.mark.parametrize('bias', [True, False])
def test_adapters_with_a_bias_and_without(bias):
    torch.manual_seed(0)
    on = dict(student='backbone.layer2', adapter=dict(type='ConvAdapter', bias=bias))
    model = Distiller(
        toy_detector(),
        dict(loss_cwd=dict(type='CWDLoss', on=on, standardise=True)),
        teacher=dict(config=toy_detector(width=12), allow_untrained=True),
        probe_size=64,
    )
    shapes = [tuple(parameter.shape) for parameter in model.distill.parameters()]
    assert shapes == [(96, 64, 1, 1), (96,)][: 1 + bias]


def test_a_bias_that_is_none():
    with pytest.raises(ConfigError, match='ConvAdapter: bias must be True or False'):
        ConvAdapter(3, 4, bias='False')


def test_where_there_is_one_place_alone_there_is_nothing_to_learn():
    single, small = draw((2, 5, 1, 1)), draw((2, 5, 2, 1))
    with pytest.raises(ConfigError, match='a single pixel'):
        CWDLoss()(single, single)
    assert CWDLoss()([small, single], [small.flip(2), single]) > 0
