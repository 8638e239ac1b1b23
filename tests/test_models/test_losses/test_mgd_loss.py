"""MGD: the authors' figures, and what is hidden."""

import pytest
import torch
from torch import nn

from mmkd.errors import ConfigError
from mmkd.models.losses import MGDLoss, mgd_loss
from mmkd.models.losses.mgd_loss import draw_mask

SHAPE = (2, 3, 7, 6)


def draw(shape=SHAPE, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


def build(**arguments):
    torch.manual_seed(0)
    return MGDLoss(**arguments).fit_to(draw(), draw())


def set_identity(loss):
    for conv in loss.generators[0][::2]:
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)


@pytest.mark.golden('mgd')
def test_equals_the_authors_figures(golden, monkeypatch):
    uniform, share = golden.tensors['uniform'], golden.params['lambda_mgd']
    by_pixel = golden.params['mask'] == 'pixel'
    kept = uniform <= 1 - share if by_pixel else uniform >= share
    assert kept.sum() == golden.expected['extra']['kept']
    monkeypatch.setattr(mgd_loss, 'draw_mask', lambda *args: kept.double())
    student, learned = golden.adapted()
    loss = MGDLoss(golden.params['alpha_mgd'], share, golden.params['mask'])
    loss.fit_to(student, golden.teacher)
    loss.generators[0].load_state_dict(golden.state('generation.'))
    learned['generation.'] = loss.generators[0]
    golden.check(loss(student, golden.teacher), learned)


class TestMask:
    @pytest.mark.parametrize('share', [0.0, 0.15, 0.65, 1.0])
    def test_hides_a_share_of_pixels_in_all_channels_together(self, share):
        torch.manual_seed(0)
        mask = draw_mask(draw((2, 3, 80, 70)), share)
        assert mask.shape == (2, 1, 80, 70) and mask.dtype == torch.float64
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        assert mask.mean().item() == pytest.approx(1 - share, abs=0.02)

    @pytest.mark.parametrize('share', [0.0, 0.15, 0.65, 1.0])
    def test_or_a_share_of_channels_in_all_pixels_together(self, share):
        torch.manual_seed(0)
        mask = draw_mask(draw((40, 300, 2, 1)), share, 'channel')
        assert mask.shape == (40, 300, 1, 1)
        assert mask.mean().item() == pytest.approx(1 - share, abs=0.02)

    def test_is_another_for_each_level_and_step(self, monkeypatch):
        masks = []
        kept = mgd_loss.mgd_loss
        monkeypatch.setattr(
            mgd_loss, 'mgd_loss', lambda *args: masks.append(args[2]) or kept(*args)
        )
        levels = [draw(), draw()]
        loss = MGDLoss().fit_to(levels, levels)
        for _ in range(2):
            loss(levels, levels)
        assert len(masks) == 4
        first, *others = masks
        assert not any(torch.equal(first, other) for other in others)


class TestOracles:
    def test_nothing_hidden_and_nothing_changed_is_the_squared_error(self):
        student, teacher = draw().abs(), draw(seed=1)
        loss = build(alpha=3e-5, masked=0.0)
        set_identity(loss)
        wanted = 3e-5 * (student - teacher).square().sum().item() / 2
        assert loss(student, teacher).item() == pytest.approx(wanted, rel=1e-12)

    def test_what_is_hidden_is_generated_from_its_neighbours_alone(self):
        """Two 3x3 convolutions see two pixels far."""
        mask = torch.ones(1, 1, 9, 9, dtype=torch.float64)
        mask[..., 4, 4] = 0
        generator = build().generators[0]
        student = draw((1, 3, 9, 9)).requires_grad_()
        made = generator(student * mask)
        (gradient,) = torch.autograd.grad(made[..., 4, 4].sum(), student)
        reached = gradient.abs().sum(dim=(0, 1)) > 0
        wanted = torch.zeros(9, 9, dtype=torch.bool)
        wanted[2:7, 2:7] = True
        wanted[4, 4] = False
        assert torch.equal(reached, wanted)

    def test_all_hidden_teaches_the_student_nothing(self):
        student, generate = draw().requires_grad_(), build().generators[0]
        mask = draw_mask(student, 1.0)
        mgd_loss.mgd_loss(student, draw(seed=1), mask, generate).backward()
        assert not student.grad.any()
        assert generate[2].bias.grad.any()

    def test_is_not_divided_by_pixels_and_channels_but_by_images(self):
        student, teacher = draw().abs(), draw(seed=1)
        loss = build(masked=0.0)
        set_identity(loss)
        once = loss(student, teacher).item()
        more = [torch.cat([side, side]) for side in (student, teacher)]
        assert loss(*more).item() == pytest.approx(once, rel=1e-12)
        wider = [torch.cat([side, side], dim=3) for side in (student, teacher)]
        assert loss(*wider).item() == pytest.approx(2 * once, rel=1e-12)


def test_each_level_has_its_generator_and_levels_are_summed():
    shapes = [SHAPE, (2, 5, 3, 3)]
    levels = [[draw(shape, seed) for shape in shapes] for seed in range(2)]
    torch.manual_seed(0)
    loss = MGDLoss(masked=0.0).fit_to(*levels)
    ones = torch.ones((), dtype=torch.float64)
    wanted = sum(
        mgd_loss.mgd_loss(*pair, ones, generator).item()
        for *pair, generator in zip(*levels, loss.generators)
    )
    assert loss(*levels).item() == pytest.approx(2e-5 * wanted, rel=1e-12)


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (dict(alpha=0), 'alpha must be a number above 0'),
        (dict(masked=1.2), 'masked must be from 0 to 1'),
        (dict(masked=1), 'masked=1 hides all'),
        (dict(mask='patch'), "mask must be one of .*'pixel', 'channel'"),
    ],
)
def test_bad_arguments(arguments, sentence):
    with pytest.raises(ConfigError, match=f'MGDLoss: {sentence}'):
        MGDLoss(**arguments)
