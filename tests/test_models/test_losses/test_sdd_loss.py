"""SDD on tensors: the authors' figures, a slow one, and what must hold of it."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mmkd.errors import ConfigError
from mmkd.models.losses import DistillLoss, SDDLoss
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.lskd_loss import standardise
from mmkd.models.losses.sdd_loss import consistent_cells
from mmkd.registry import MODELS

#: Arguments of each loss that goes inside.
INSIDE = [
    dict(type='KDLoss', tau=3.0),
    dict(type='DKDLoss', beta=2.0),
    dict(type='NKDLoss', tau=3.0),
    dict(type='LumiNetLoss', alpha=2.0),
    dict(type='LSKDLoss', loss=dict(type='LumiNetLoss', sync_stats=True)),
]


@MODELS.register_module()
class SquaredRowsLoss(DistillLoss):
    """One for each sample where all logits differ by one; keeps what it is given."""

    ranks = (2,)

    def fit(self, inputs):
        super().fit(inputs)
        self.inputs = inputs

    def rows(self, student, teacher, target):
        self.seen = student, teacher, target
        return (student - teacher).square().mean(dim=1)


@MODELS.register_module()
class RowsOfMapsLoss(SquaredRowsLoss):
    ranks = (4,)


def draw(seed=0, batch=8, classes=5, cells=21):
    random = torch.Generator().manual_seed(seed)
    shape = batch, classes, cells
    student = torch.randn(shape, generator=random, dtype=torch.float64)
    teacher = torch.randn(shape, generator=random, dtype=torch.float64) * 2
    labels = torch.randint(classes, (batch,), generator=random)
    return student.requires_grad_(), teacher, labels


def call(loss, student, teacher, labels):
    return loss([student], [teacher], [labels])


def value_and_gradient(loss, student, teacher, labels):
    student = student.detach().requires_grad_()
    value = call(loss, student, teacher, labels)
    value.backward()
    return value.detach(), student.grad


def fit(loss, student, teacher):
    loss.fit(LossInputs('loss_x', [student], [teacher], ['a'], ['b'], None))


def ids(inside):
    return inside['type']


each_loss_inside = pytest.mark.parametrize('inside', INSIDE, ids=ids)


class TestTheFigures:
    @pytest.mark.golden('sdd_kd')
    def test_around_kd_it_equals_the_authors(self, golden):
        tau, beta = golden.params['tau'], golden.params['beta']
        loss = SDDLoss(dict(type='KDLoss', tau=tau), beta)
        golden.check(call(loss, golden.student, golden.teacher, golden.labels))

    @pytest.mark.golden('sdd_dkd')
    def test_around_dkd_it_equals_the_authors(self, golden):
        given = dict(golden.params)
        beta, beta_dkd = given.pop('beta'), given.pop('beta_dkd')
        loss = SDDLoss(dict(type='DKDLoss', beta=beta_dkd, **given), beta)
        golden.check(call(loss, golden.student, golden.teacher, golden.labels))

    def test_defaults_are_kd_at_temperature_four_and_beta_two(self):
        pair = draw()
        given = SDDLoss(loss=dict(type='KDLoss', tau=4.0), beta=2.0)
        assert call(SDDLoss(), *pair) == call(given, *pair)


def slow_kl(student, teacher, tau):
    """Of two lists of scalars."""
    student, teacher = ([(z / tau).exp() for z in side] for side in (student, teacher))
    student, teacher = (
        [value / sum(side) for value in side] for side in (student, teacher)
    )
    return sum(p * (p.log() - q.log()) for p, q in zip(teacher, student))


def slow_sdd(student, teacher, labels, tau, beta):
    """Sample by sample, cell by cell."""
    batch, classes, cells = student.shape
    total = 0.0
    for n in range(batch):
        right = []
        for m in range(cells):
            logits = [teacher[n, k, m].item() for k in range(classes)]
            right.append(logits.index(max(logits)) == labels[n].item())
        for m in range(cells):
            student_logits = [student[n, k, m] for k in range(classes)]
            teacher_logits = [teacher[n, k, m] for k in range(classes)]
            weight = 1.0 if right[m] == right[0] else beta
            total = total + weight * tau**2 * slow_kl(
                student_logits, teacher_logits, tau
            )
    return total / (batch * cells)


@pytest.mark.parametrize('tau, beta, cells', [(4.0, 2.0, 5), (1.5, 0.3, 21)])
def test_equals_a_slow_one_with_its_gradient(tau, beta, cells):
    student, teacher, labels = draw(3, batch=6, classes=3, cells=cells)
    wanted = slow_sdd(student, teacher, labels, tau, beta)
    wanted.backward()
    loss = SDDLoss(loss=dict(type='KDLoss', tau=tau), beta=beta)
    value, gradient = value_and_gradient(loss, student, teacher, labels)
    assert value.item() == pytest.approx(wanted.item(), rel=1e-10)
    torch.testing.assert_close(gradient, student.grad, rtol=1e-9, atol=1e-13)


class TestWeights:
    #: What the teacher says in the whole image and in two cells, where class 1 is
    #: true; and whether it is consistent.
    TABLE = [
        ([1, 1, 1], [True, True, True]),
        ([1, 0, 1], [True, False, True]),
        ([0, 1, 0], [True, False, True]),  # wrong as a whole, right in a cell
        ([0, 2, 0], [True, True, True]),  # two ways of being wrong
        ([2, 0, 1], [True, True, False]),
    ]

    def teacher(self):
        predicted = torch.tensor([classes for classes, _ in self.TABLE])
        return torch.nn.functional.one_hot(predicted, 3).transpose(1, 2).double()

    def test_are_told_by_the_teacher_and_the_label(self):
        wanted = torch.tensor([consistent for _, consistent in self.TABLE])
        labels = torch.ones(len(wanted), dtype=torch.long)
        assert torch.equal(consistent_cells(self.teacher(), labels), wanted)

    def test_multiply_the_value_of_each_cell(self):
        teacher = self.teacher()
        consistent = torch.tensor([consistent for _, consistent in self.TABLE])
        labels = torch.ones(len(teacher), dtype=torch.long)
        far = torch.arange(1.0, consistent.numel() + 1).double().view_as(consistent)
        student = teacher + far.sqrt()[:, None]  # each cell's value is its number
        loss = SDDLoss(loss=dict(type='SquaredRowsLoss'), beta=5.0)
        value = call(loss, student, teacher, labels)
        wanted = torch.where(consistent, far, 5 * far).mean()
        assert value.item() == pytest.approx(wanted.item(), rel=1e-12)

    def test_the_student_has_no_say(self):
        student, teacher, labels = draw()
        loss = SDDLoss(loss=dict(type='SquaredRowsLoss'))
        near = call(loss, teacher + 1, teacher, labels)
        sign = torch.where(torch.rand(student.shape) < 0.5, -1.0, 1.0)
        other = call(loss, teacher + sign, teacher, labels)
        assert other.item() == pytest.approx(near.item(), rel=1e-12)


@each_loss_inside
class TestAroundEveryLoss:
    def test_one_scale_is_the_loss_inside_bit_for_bit(self, inside):
        student, teacher, labels = draw(batch=7, cells=1)
        plain = MODELS.build(inside)
        for dtype in (torch.float64, torch.float32):
            student, teacher = student.detach().to(dtype), teacher.to(dtype)
            value, gradient = value_and_gradient(
                SDDLoss(loss=inside, beta=7.0), student, teacher, labels
            )
            wanted, wanted_gradient = value_and_gradient(
                plain, student[:, :, 0], teacher[:, :, 0], labels
            )
            assert value == wanted
            assert torch.equal(gradient[:, :, 0], wanted_gradient)

    @pytest.mark.parametrize('cells, beta', [(5, 2.0), (21, 0.5)])
    def test_cells_that_are_all_alike_give_the_loss_inside(self, inside, cells, beta):
        student, teacher, labels = draw(cells=1)
        wanted, gradient = value_and_gradient(
            MODELS.build(inside), student[:, :, 0], teacher[:, :, 0], labels
        )
        loss = SDDLoss(loss=inside, beta=beta)
        spread = student.expand(-1, -1, cells), teacher.expand(-1, -1, cells)
        value, parted = value_and_gradient(loss, *spread, labels)
        assert value.item() == pytest.approx(wanted.item(), rel=1e-12)
        torch.testing.assert_close(parted.sum(dim=2), gradient)
        assert loss.parts['complementary'] == 0

    def test_is_affine_in_beta_and_its_parts_add_up(self, inside):
        pair = draw()
        values, parts = [], []
        for beta in (0.5, 2.0, 5.0):
            loss = SDDLoss(loss=inside, beta=beta)
            values.append(call(loss, *pair).item())
            parts.append(loss.parts)
            assert list(loss.parts) == ['consistent', 'complementary']
            assert not any(part.requires_grad for part in loss.parts.values())
            assert sum(loss.parts.values()).item() == pytest.approx(values[-1])
        slope = (values[2] - values[0]) / 4.5
        assert slope > 0
        assert values[1] == pytest.approx(values[0] + 1.5 * slope, rel=1e-12)
        assert len({part['consistent'].item() for part in parts}) == 1
        for beta, part in zip((0.5, 2.0, 5.0), parts):
            assert part['complementary'].item() == pytest.approx(beta * slope)

    def test_order_of_the_cells_of_a_scale_changes_nothing(self, inside):
        student, teacher, labels = draw()
        random = torch.Generator().manual_seed(1)
        order = torch.cat(
            [
                torch.zeros(1, dtype=torch.long),
                1 + torch.randperm(4, generator=random),
                5 + torch.randperm(16, generator=random),
            ]
        )
        loss = SDDLoss(loss=inside)
        once = call(loss, student, teacher, labels).item()
        moved = call(loss, student[:, :, order], teacher[:, :, order], labels).item()
        assert moved == pytest.approx(once, rel=1e-12)
        # The whole image is a cell apart.
        first = call(loss, student.flip(2), teacher.flip(2), labels).item()
        assert first != pytest.approx(once, rel=1e-6)

    @pytest.mark.parametrize('copies', [1, 2])
    def test_order_and_number_of_samples_change_nothing(self, inside, copies):
        student, teacher, labels = draw()
        order = torch.arange(7, -1, -1).repeat(copies)
        loss = SDDLoss(loss=inside)
        once = call(loss, student, teacher, labels).item()
        other = call(loss, student[order], teacher[order], labels[order]).item()
        assert other == pytest.approx(once, rel=1e-9)

    @pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
    def test_finite_for_huge_logits(self, inside, dtype):
        student, teacher, labels = draw()
        pair = (student.detach() * 1e4).to(dtype), (-teacher * 1e4).to(dtype)
        value, gradient = value_and_gradient(SDDLoss(loss=inside), *pair, labels)
        assert value.dtype == torch.float32
        assert value.isfinite() and gradient.isfinite().all()

    def test_is_computed_in_float32_under_autocast(self, inside):
        student, teacher, labels = draw()
        pair = student.detach().bfloat16(), teacher.bfloat16()
        loss = SDDLoss(loss=inside)
        with torch.autocast('cpu', torch.bfloat16):
            value = call(loss, *pair, labels)
        assert value == call(loss, *(side.float() for side in pair), labels)

    def test_does_not_wait_for_the_device(self, inside):
        """A fake tensor has no value to wait for: reading one raises."""
        with FakeTensorMode():
            student = torch.randn(8, 5, 21, requires_grad=True)
            teacher, labels = torch.randn(8, 5, 21), torch.zeros(8, dtype=torch.long)
            call(SDDLoss(loss=inside), student, teacher, labels).backward()
            assert student.grad.shape == student.shape


def test_luminet_takes_its_statistics_over_the_batch_cell_by_cell():
    student, teacher, labels = draw(cells=5)
    plain = MODELS.build(dict(type='LumiNetLoss', alpha=2.0))
    loss = SDDLoss(loss=dict(type='LumiNetLoss', alpha=2.0), beta=1.0)
    each = [
        call(plain, student[:, :, m], teacher[:, :, m], labels).item() for m in range(5)
    ]
    assert call(loss, student, teacher, labels).item() == pytest.approx(
        math.fsum(each) / 5, rel=1e-12
    )
    # Another scale of one cell's logits is no other perception.
    scale = torch.tensor([1.0, 30, 1, 0.2, 9]).double()
    loss = SDDLoss(loss=dict(type='LumiNetLoss', eps=1e-12), beta=1.0)
    once = call(loss, student, teacher, labels).item()
    scaled = call(loss, student * scale, teacher, labels).item()
    assert scaled == pytest.approx(once, rel=1e-6)
    assert loss.over_batch and not SDDLoss().over_batch


@each_loss_inside
def test_around_lskd_each_cell_is_standardised(inside):
    student, teacher, labels = draw()
    loss = SDDLoss(loss=dict(type='LSKDLoss', loss=inside))
    cells = map(standardise, (student, teacher))  # over the classes
    wanted = call(SDDLoss(loss=inside), *cells, labels)
    value = call(loss, student, teacher, labels)
    assert value.item() == pytest.approx(wanted.item(), rel=1e-12)


def test_collectives_are_those_of_the_loss_inside():
    synchronised = SDDLoss(loss=INSIDE[-1])
    assert synchronised.synchronises and not SDDLoss().synchronises
    # Compared also where there is nothing to compare: the other processes wait.
    student, teacher, labels = (side.detach()[:0] for side in draw())
    value = call(synchronised, student, teacher, labels)
    value.backward()
    assert value == 0
    assert list(synchronised.parts.values()) == [0, 0]


class TestWhatTheLossInsideGets:
    def test_rows_with_the_label_of_their_image(self):
        student, teacher, labels = draw(batch=3, cells=5)
        loss = SDDLoss(loss=dict(type='SquaredRowsLoss'))
        call(loss, student, teacher, labels)
        student_rows, teacher_rows, targets = loss.loss.seen
        for row in range(15):
            n, m = divmod(row, 5)
            assert torch.equal(student_rows[row], student[n, :, m])
            assert torch.equal(teacher_rows[row], teacher[n, :, m])
            assert targets[row] == labels[n]

    def test_shapes_of_one_cell(self):
        loss = SDDLoss(loss=dict(type='SquaredRowsLoss'))
        fit(loss, (2, 10, 21), (2, 10, 21))
        assert loss.loss.inputs.student == loss.loss.inputs.teacher == [(2, 10)]


class TestLevels:
    """Stages of a cascade are levels."""

    def test_value_and_parts_are_means_over_them(self):
        pairs = [draw(seed) for seed in range(3)]
        loss = SDDLoss()
        alone = []
        for pair in pairs:
            value = call(loss, *pair).item()
            alone.append((value, *(part.item() for part in loss.parts.values())))
        value = loss(*map(list, zip(*pairs)))
        together = [value.item(), *(part.item() for part in loss.parts.values())]
        assert together == pytest.approx([sum(column) / 3 for column in zip(*alone)])

    def test_no_sample_gives_a_zero_in_the_graph(self):
        loss = SDDLoss()
        call(loss, *draw())
        student = torch.zeros(0, 6, 5, requires_grad=True)
        empty = student, torch.zeros(0, 6, 5), torch.zeros(0, dtype=torch.long)
        value = call(loss, *empty)
        value.backward()
        assert value == 0 and student.grad.shape == (0, 6, 5)
        # Not those of the step before.
        assert [part.item() for part in loss.parts.values()] == [0, 0]

    def test_a_level_without_samples_counts_as_zero(self):
        student, teacher, labels = draw(cells=5)
        empty = torch.zeros(0, 5, 5), torch.zeros(0, 5, 5), labels[:0]
        loss = SDDLoss()
        once = call(loss, student, teacher, labels).item()
        both = loss(*map(list, zip((student, teacher, labels), empty)))
        assert both.item() == pytest.approx(once / 2)


class TestSoftLabels:
    def test_are_an_error(self):
        student, teacher, labels = draw()
        soft = torch.nn.functional.one_hot(labels, 5).float()
        with pytest.raises(ConfigError, match=r"SDDLoss needs one.*'argmax'"):
            call(SDDLoss(), student, teacher, soft)
        with pytest.raises(ConfigError, match='got none'):
            call(SDDLoss(), student, teacher, None)

    @each_loss_inside
    def test_or_the_dominant_class(self, inside):
        student, teacher, labels = draw()
        soft = 0.7 * torch.nn.functional.one_hot(labels, 5) + 0.06
        loss = SDDLoss(loss=inside, soft_targets='argmax')
        assert loss.needs == ('soft_labels',) and SDDLoss(inside).needs == ('labels',)
        once = call(SDDLoss(loss=inside), student, teacher, labels)
        assert call(loss, student, teacher, soft) == once


class TestRefusals:
    @pytest.mark.parametrize('kind', ['ATLoss', 'DISTLoss', 'RKDLoss', 'SDDLoss'])
    def test_a_loss_without_a_value_for_each_sample(self, kind):
        with pytest.raises(ConfigError) as error:
            SDDLoss(loss=dict(type=kind))
        assert str(error.value) == (
            f'SDDLoss: {kind} has no value for each sample to weight; choose KDLoss, '
            'DKDLoss, NKDLoss, LumiNetLoss, or a loss with a method rows.'
        )

    def test_a_wrapped_loss_without_a_value_for_each_sample(self):
        with pytest.raises(ConfigError, match='SDDLoss: LSKDLoss has no value for'):
            SDDLoss(loss=dict(type='LSKDLoss', loss=dict(type='MLKDLoss')))

    @pytest.mark.parametrize(
        'arguments, sentence',
        [
            (dict(loss='KDLoss'), 'SDDLoss: loss must be a dict with a type'),
            (dict(loss=dict(tau=4.0)), 'SDDLoss: loss must be a dict with a type'),
            (dict(loss=dict(type='KDLos')), 'unknown loss .* did you mean KDLoss'),
            (dict(loss=dict(type='KDLoss', t=4)), r'SDDLoss \(KDLoss\): .*tau'),
            (dict(loss=dict(type='KDLoss', tau=0)), 'KDLoss: tau must be a number'),
            (dict(beta=-1), 'SDDLoss: beta must be a number above 0, got -1'),
            (dict(beta='2'), "SDDLoss: beta must be a number above 0, got '2'"),
            (dict(beta=math.inf), 'SDDLoss: beta must be a number above 0, got inf'),
            (dict(soft_targets='mix'), 'SDDLoss: soft_targets must be one of'),
        ],
    )
    def test_wrong_arguments(self, arguments, sentence):
        with pytest.raises(ConfigError, match=sentence):
            SDDLoss(**arguments)

    def test_logits_that_are_not_of_cells(self):
        with pytest.raises(ConfigError) as error:
            fit(SDDLoss(), (2, 10), (2, 10))
        assert str(error.value).startswith(
            'loss_x: this loss compares logits of cells (N, K, M), got shape (2, 10); '
        )

    def test_a_loss_inside_that_has_values_of_maps(self):
        loss = SDDLoss(loss=dict(type='RowsOfMapsLoss'))
        with pytest.raises(ConfigError, match='this loss compares maps'):
            fit(loss, (2, 10, 5), (2, 10, 5))
