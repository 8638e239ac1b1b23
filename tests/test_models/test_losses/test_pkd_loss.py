"""PKD: the authors' figures, and Pearson's correlation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmkd.models import Distiller
from mmkd.models.losses import PKDLoss
from mmkd.models.losses.pkd_loss import pkd_loss
from mmkd.testing import detection_batch, toy_detector

SHAPE = (2, 5, 6, 4)
COUNT = 2 * 6 * 4


def draw(shape=SHAPE, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


def resized(maps, like):
    # Nothing is resized that has the size: bilinear leaves it as it is.
    return F.interpolate(maps, like.shape[2:], mode='bilinear', align_corners=False)


@pytest.mark.golden('pkd')
def test_equals_the_authors_figures(golden):
    """Of other sizes the student's, or else the teacher's, is resized first."""
    student, teacher = golden.student, golden.teacher
    if golden.params['resize_stu']:
        student = list(map(resized, student, teacher))
    else:
        teacher = list(map(resized, teacher, student))
    golden.check(PKDLoss()(student, teacher) * golden.params['loss_weight'])


def test_is_one_less_the_correlation():
    student, teacher = draw(), draw(seed=1)
    pairs = zip(
        *(side.transpose(0, 1).flatten(1).numpy() for side in (student, teacher))
    )
    correlation = np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])
    wanted = (1 - correlation) * (COUNT - 1) / COUNT
    assert pkd_loss(student, teacher).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize('side', [0, 1])
def test_scale_and_shift_of_a_channel_change_nothing(side):
    sides = [draw(), draw(seed=1)]
    before = pkd_loss(*sides).item()
    scale = draw((1, 5, 1, 1), seed=2).exp()
    sides[side] = sides[side] * scale + 10 * draw((1, 5, 1, 1), seed=3)
    assert pkd_loss(*sides).item() == pytest.approx(before, rel=1e-5)


def test_lies_between_what_is_equal_and_what_is_opposite():
    teacher = draw()
    assert pkd_loss(3 * teacher + 2, teacher).item() == pytest.approx(0, abs=1e-11)
    opposite = pkd_loss(-teacher, teacher).item()
    assert opposite == pytest.approx(2 * (COUNT - 1) / COUNT, rel=1e-5)


def test_a_single_pixel_is_a_zero_with_a_gradient():
    """The coarsest level of one small image, beside one that has more."""
    student = [draw((1, 5, 2, 2)), draw((1, 5, 1, 1))]
    teacher = [draw((1, 5, 2, 2), seed=1), draw((1, 5, 1, 1), seed=1)]
    for maps in student:
        maps.requires_grad_()
    value = PKDLoss()(student, teacher)
    value.backward()
    assert value == pkd_loss(student[0], teacher[0]) > 0
    assert student[0].grad.any() and not student[1].grad.any()


def test_levels_are_summed():
    levels = [draw(), draw((2, 3, 3, 2))], [draw(seed=1), draw((2, 3, 3, 2), seed=1)]
    wanted = sum(map(pkd_loss, *levels)).item()
    assert PKDLoss()(*levels).item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize('width', [8, 12])
def test_a_necks_maps_have_equal_channels_and_nothing_is_learned(width):
    torch.manual_seed(0)
    teacher = dict(config=toy_detector(width=width), allow_untrained=True)
    losses = dict(loss_pkd=dict(type='PKDLoss', on='neck'))
    model = Distiller(toy_detector(), losses, teacher=teacher, probe_size=64)
    assert not list(model.distill.parameters())
    data = model.train().data_preprocessor(detection_batch(), True)
    value = model(**data, mode='loss')['loss_pkd']
    assert 0 < value < 2 * 5
