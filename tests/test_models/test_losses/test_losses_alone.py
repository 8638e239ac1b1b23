"""Losses in any loop: plain tensors, no Distiller, no MMEngine."""

import copy
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmkd.errors import ConfigError
from mmkd.models import losses

N = 8
LABELS = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
MAP, TEACHERS_MAP = (N, 3, 6, 6), (N, 7, 3, 3)


class Case(NamedTuple):
    """Shapes that a loss compares, and what else it takes."""

    student: tuple = (N, 5)
    teacher: tuple = (N, 5)
    arguments: dict = {}
    #: Whether it has parameters that depend on what it compares.
    learns: bool = False
    side: dict = {}


CASES = dict(
    AEKTLoss=Case(learns=True),
    ATLoss=Case(MAP, TEACHERS_MAP),
    CRDLoss=Case(
        teacher=(N, 7),
        arguments=dict(num_samples=N, feat_dim=3, negatives=4),
        learns=True,
        side=dict(index=torch.arange(N)),
    ),
    CTKDLoss=Case(),
    CWDLoss=Case(MAP, MAP),
    DISTLoss=Case(),
    DKDLoss=Case(),
    FGDLoss=Case(
        MAP,
        MAP,
        learns=True,
        side=dict(
            boxes=[torch.tensor([[4.0, 4, 20, 12]])] * N, padded_shape=[(24, 24)] * N
        ),
    ),
    FitNetLoss=Case(MAP, MAP),
    KDLoss=Case(),
    LSKDLoss=Case(arguments=dict(loss=dict(type='DKDLoss'))),
    LumiNetLoss=Case(),
    MGDLoss=Case(MAP, MAP, learns=True),
    MLKDLoss=Case(),
    NKDLoss=Case(),
    NSTLoss=Case(MAP, TEACHERS_MAP),
    OFALoss=Case(arguments=dict(eps=1.3)),
    PKDLoss=Case(MAP, MAP),
    PKTLoss=Case(teacher=(N, 7)),
    RKDLoss=Case(teacher=(N, 7)),
    ReviewKDLoss=Case(MAP, TEACHERS_MAP, learns=True),
    SDDLoss=Case((N, 5, 6), (N, 5, 6)),
    SPLoss=Case(MAP, TEACHERS_MAP),
    WSLDLoss=Case(),
    WTTMLoss=Case(),
)
#: UniKD compares several tensors, and LAKD parts of a student.
ELSEWHERE = {'DistillLoss', 'LAKDLoss', 'UniKDLoss'}
#: These read more of the teacher than what is compared.
NOT_ALONE = dict(OFDLoss=(MAP, MAP), SRRLLoss=(MAP, MAP))

every = pytest.mark.parametrize('name', CASES)


def those(condition):
    return pytest.mark.parametrize('name', [n for n in CASES if condition(n)])


def build(name):
    return getattr(losses, name)(**CASES[name].arguments)


labelled = those(lambda name: build(name).needs == ('labels',))
weighing = those(lambda name: build(name).weighs_rows)
not_weighing = those(lambda name: not build(name).weighs_rows)


def draw(name, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    student, teacher = (
        torch.randn(shape, generator=random, dtype=dtype) for shape in CASES[name][:2]
    )
    return student.requires_grad_(), teacher


def ready(name, dtype=torch.float64):
    """A loss that has been fitted, if it learns."""
    torch.manual_seed(0)
    loss = build(name)
    if CASES[name].learns:
        loss.fit_to(*draw(name, dtype=dtype))
    loss.see_training_set(LABELS)
    return loss


def given(name):
    """What is beside the two sides."""
    labels = dict(targets=LABELS) if build(name).needs == ('labels',) else {}
    return dict(labels, **CASES[name].side)


def call(loss, name, student, teacher, **changed):
    torch.manual_seed(7)  # of what it draws
    return loss(student, teacher, **dict(given(name), **changed))


def test_each_exported_loss_is_tried():
    assert {*CASES, *NOT_ALONE, *ELSEWHERE} == set(losses.__all__)


def as_list(name):
    targets = given(name).get('targets')
    return {} if targets is None else dict(targets=[targets])


class TestPlainTensors:
    @every
    def test_are_one_level(self, name):
        results = []
        for wrap in (lambda side: side, lambda side: [side], lambda side: (side,)):
            loss, (student, teacher) = ready(name), draw(name)
            changed = {} if wrap(0) == 0 else as_list(name)
            value = call(loss, name, wrap(student), wrap(teacher), **changed)
            value.backward()
            learned = [parameter.grad for parameter in loss.parameters()]
            results.append([value.detach(), student.grad, *learned])
            assert value.shape == () and value.isfinite() and student.grad.any()
        for other in results[1:]:
            assert all(map(torch.equal, results[0], other))

    @labelled
    def test_of_labels_are_those_of_all_levels(self, name):
        pairs = [draw(name, seed) for seed in range(2)]
        sides = list(map(list, zip(*pairs)))
        loss = ready(name)
        together = call(loss, name, *sides)
        assert together == call(loss, name, *sides, targets=[LABELS, LABELS])
        each = [call(loss, name, *pair).item() for pair in pairs]
        wanted = sum(each) / (1 if loss.sum_levels else 2)
        assert together.item() == pytest.approx(wanted, rel=1e-12)

    @every
    def test_give_the_teacher_no_gradient(self, name):
        student, teacher = draw(name)
        teacher.requires_grad_()
        call(ready(name), name, student, teacher).backward()
        assert teacher.grad is None and student.grad.any()

    @every
    def test_of_half_precision_are_promoted(self, name):
        student, teacher = (side.detach().bfloat16() for side in draw(name))
        half = student.clone().requires_grad_()
        value = call(ready(name, torch.bfloat16), name, half, teacher)
        value.backward()
        exact = call(ready(name, torch.float32), name, student.float(), teacher.float())
        assert value == exact and value.dtype == torch.float32
        assert half.grad.isfinite().all()
        assert call(ready(name), name, *draw(name)).dtype == torch.float64

    @every
    def test_are_not_waited_for(self, name):
        """A fake tensor has no value to wait for, and mixes with no other device."""
        loss, sides = ready(name, torch.float32), draw(name, dtype=torch.float32)
        call(loss, name, *sides)  # no module moves to a device that is not there
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:

            def cuda(value):
                if isinstance(value, list):
                    return list(map(cuda, value))
                if not isinstance(value, torch.Tensor):
                    return value
                return mode.from_tensor(value.detach()).to('cuda')

            for module in loss.modules():
                for key, parameter in module._parameters.items():
                    if parameter is not None:
                        module._parameters[key] = nn.Parameter(cuda(parameter))
                for key, buffer in module._buffers.items():
                    module._buffers[key] = cuda(buffer)
            student, teacher = map(cuda, sides)
            beside = {key: cuda(value) for key, value in given(name).items()}
            value = loss(student.requires_grad_(), teacher, **beside)
            assert value.device.type == 'cuda' and value.shape == ()

    @every
    def test_of_no_rows_give_a_zero_with_a_gradient_for_all(self, name):
        loss = ready(name)
        student, teacher = (side.detach()[:0] for side in draw(name))
        beside = {key: value[:0] for key, value in given(name).items()}
        value = loss(student.requires_grad_(), teacher, **beside)
        value.backward()
        assert value == 0
        learned = [student, *loss.parameters()]
        assert all(
            tensor.grad is not None and not tensor.grad.any() for tensor in learned
        )


@those(lambda name: CASES[name].learns)
class TestWhatLearns:
    def test_has_to_be_fitted_first(self, name):
        loss = build(name)
        loss.see_training_set(LABELS)
        state = list(loss.state_dict())
        for _ in range(2):  # a refusal leaves nothing that would pass the next time
            with pytest.raises(ConfigError, match=f'^{name} has param.*fit_to'):
                call(loss, name, *draw(name))
            assert list(loss.state_dict()) == state

    def test_is_fitted_in_the_precision_of_what_it_compares(self, name):
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            loss = build(name).fit_to(*draw(name, dtype=dtype))
            wanted = torch.float64 if dtype == torch.float64 else torch.float32
            assert {parameter.dtype for parameter in loss.parameters()} == {wanted}

    def test_compares_nothing_but_what_it_was_fitted_to(self, name):
        """A level more had been left out, other channels were a bare error."""
        loss = ready(name)
        student, teacher = draw(name)
        beside = given(name)
        if loss.learns_by_level:
            with pytest.raises(ConfigError, match='was fitted to'):
                loss([student] * 2, [teacher] * 2, **beside)
        with pytest.raises(ConfigError, match='was fitted to'):
            loss(student[:, :-1], teacher[:, : student.size(1) - 1], **beside)
        with pytest.raises(ConfigError, match='learns in'):
            loss(student.float(), teacher.float(), **beside)

    def test_starts_from_torchs_random_numbers(self, name):
        if name == 'AEKTLoss':
            return  # from the identity
        states = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            loss = build(name).fit_to(*draw(name))
            states.append(torch.cat([p.flatten() for p in loss.parameters()]))
        assert torch.equal(states[0], states[1])
        assert not torch.equal(states[0], states[2])


@every
def test_building_and_fitting_leaves_torchs_random_numbers_as_they_were(name):
    before = torch.get_rng_state()
    build(name).fit_to(*draw(name))
    assert torch.equal(torch.get_rng_state(), before)


@every
def test_names_of_parts_do_not_count_as_losses(name):
    """MMEngine adds up what has ``loss`` in its name."""
    loss = ready(name)
    value = call(loss, name, *draw(name))
    assert not any('loss' in part for part in loss.parts)
    if loss.parts:
        assert sum(loss.parts.values()).item() == pytest.approx(value.item())


class TestRefusals:
    @labelled
    def test_of_labels_that_are_missing_or_of_other_rows(self, name):
        loss, sides = ready(name), draw(name)
        owner = 'DKDLoss' if name == 'LSKDLoss' else name
        with pytest.raises(ConfigError, match=f'^{owner} needs one label a sample'):
            call(loss, name, *sides, targets=None)
        for labels in (LABELS[:1], LABELS[1:], [LABELS, LABELS]):
            with pytest.raises(
                ConfigError, match=f'^{name}: .*got (labels for|a list)'
            ):
                call(loss, name, *sides, targets=labels)

    @those(lambda name: CASES[name].side)
    def test_of_other_things_that_are_missing(self, name):
        for key in CASES[name].side:
            lacks = f'^{name} needs the {key} .*{key}=...'
            with pytest.raises(ConfigError, match=lacks):
                call(ready(name), name, *draw(name), **{key: None})

    @those(lambda name: build(name).ranks is not None)
    def test_of_other_dimensions(self, name):
        student, teacher = draw(name)
        loss = ready(name)
        for _ in range(2):
            call(loss, name, student, teacher)
            with pytest.raises(ConfigError, match=f'^{name}: this loss compares'):
                call(loss, name, student[..., None, None, None], teacher)

    @every
    def test_of_other_samples(self, name):
        """One sample must not be broadcast over many."""
        student, teacher = draw(name)
        loss = ready(name)
        for _ in range(2):
            for rows in (1, N - 1):
                sides = student[:rows], teacher
                with pytest.raises(ConfigError, match=f'^{name}: got {rows} samples'):
                    call(loss, name, *sides)
            call(loss, name, student, teacher)

    @those(lambda name: build(name).adapts)
    def test_of_other_shapes(self, name):
        student, teacher = draw(name)
        with pytest.raises(ConfigError, match=f'^{name}: .* tensors of one shape'):
            call(ready(name), name, student, teacher[:, :1])

    @every
    def test_of_other_levels(self, name):
        """The longer side must not be cut to the shorter one."""
        student, teacher = draw(name)
        with pytest.raises(ConfigError, match=f'^{name}: got 2 levels of the student'):
            call(ready(name), name, [student, student], teacher)

    @pytest.mark.parametrize('name', NOT_ALONE)
    def test_of_losses_that_read_the_teachers_network(self, name):
        sides = [torch.randn(shape) for shape in NOT_ALONE[name]]
        loss = getattr(losses, name)()
        for way in (loss, loss.fit_to, loss):
            with pytest.raises(ConfigError, match=f'^{name}: .*in the losses of a Dis'):
                way(*sides)


class TestWeights:
    @weighing
    def test_of_one_and_their_number_as_divisor_change_nothing(self, name):
        student, teacher = draw(name)
        loss = ready(name)
        plain = call(loss, name, student, teacher)
        for weights, divisor in ((torch.ones(N), N), (torch.ones(N), None), (None, N)):
            other = call(loss, name, student, teacher, weights=weights, divisor=divisor)
            assert other.item() == pytest.approx(plain.item(), rel=1e-12)

    @weighing
    def test_are_those_of_the_rows(self, name):
        student, teacher = draw(name)
        loss = ready(name)
        rows = loss.rows(student, teacher, given(name).get('targets'))
        weights = torch.linspace(0, 2, N)
        value = call(loss, name, student, teacher, weights=weights, divisor=2.5)
        wanted = (rows * weights).sum().item() / 2.5
        assert value.item() == pytest.approx(wanted, rel=1e-12)
        value = call(loss, name, student, teacher, weights=torch.zeros(N))
        value.backward()
        assert value == 0 and not student.grad.any()

    @weighing
    def test_of_other_shapes_are_refused(self, name):
        """A column of them would make a square of the rows."""
        loss, sides = ready(name), draw(name)
        for weights, message in (
            (torch.ones(N, 1), r'takes weights of shape \(N,\)'),
            (torch.ones(1), 'got (weights for|a list)'),
            ([torch.ones(N), torch.ones(N)], 'got (weights for|a list)'),
        ):
            with pytest.raises(ConfigError, match=f'^{name}.*{message}'):
                call(loss, name, *sides, weights=weights)

    @weighing
    def test_a_divisor_is_of_the_rows_of_all_levels(self, name):
        """As a detector's avg_factor is: levels are summed, not averaged."""
        loss = ready(name)
        pairs = [draw(name, seed) for seed in range(2)]
        alone = [call(loss, name, *pair, divisor=2.5).item() for pair in pairs]
        both = call(loss, name, *map(list, zip(*pairs)), divisor=2.5)
        assert both.item() == pytest.approx(sum(alone), rel=1e-12)

    @not_weighing
    @pytest.mark.parametrize('how', [dict(weights=torch.ones(N)), dict(divisor=2.0)])
    def test_are_refused_where_rows_have_no_value(self, name, how):
        with pytest.raises(ConfigError, match=f'^{name} has no value for each row'):
            call(ready(name), name, *draw(name), **how)


def test_unikd_is_fitted_to_lists():
    shapes = [(N, 3, 6, 6), (N, 5)], [(N, 7, 3, 3), (N, 5)]
    sides = [[torch.randn(shape) for shape in side] for side in shapes]
    loss = losses.UniKDLoss()
    with pytest.raises(ConfigError, match='UniKDLoss has parameters of its own'):
        loss(*sides)
    before = torch.get_rng_state()
    loss.fit_to(*sides)
    assert torch.equal(torch.get_rng_state(), before)
    sides[0] = [side.bfloat16().requires_grad_() for side in sides[0]]
    value = loss(*sides)
    value.backward()
    assert value.dtype == torch.float32 and all(side.grad.any() for side in sides[0])
    assert not any('loss' in part for part in loss.parts)
    with pytest.raises(ConfigError, match='^UniKDLoss: UniKD needs one map'):
        losses.UniKDLoss().fit_to(sides[0][1], sides[1][1])
    with pytest.raises(ConfigError, match='^UniKDLoss has no value for each row'):
        loss(*sides, weights=torch.ones(N))


def test_a_copy_of_a_fitted_loss_is_fitted():
    student, teacher = draw('AEKTLoss')
    loss = copy.deepcopy(losses.AEKTLoss().fit_to(student, teacher))
    assert loss(student, teacher, LABELS).isfinite()


@labelled
@pytest.mark.parametrize(
    'labels', [LABELS.int(), LABELS.float(), LABELS + 100, LABELS - 100]
)
def test_labels_that_are_none_are_refused(name, labels):
    with pytest.raises(ConfigError, match=f'^{name}.*: labels must be int64 from 0 to'):
        call(ready(name), name, *draw(name), targets=labels)


def test_what_a_loss_does_not_take_is_refused():
    with pytest.raises(ConfigError, match='^KDLoss takes no index; it needs nothing'):
        losses.KDLoss()(*draw('KDLoss'), index=LABELS)
    with pytest.raises(ConfigError, match='^CRDLoss: index must be a tensor'):
        call(ready('CRDLoss'), 'CRDLoss', *draw('CRDLoss'), index=[0] * N)


ROWS = torch.zeros(N, 5)


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        ((None, ROWS), 'student must be a tensor, .* got a NoneType'),
        ((ROWS.numpy(), ROWS), 'student must be a tensor, .* got a ndarray'),
        ((ROWS, []), 'teacher must be a tensor, .* got a list of nothing'),
        ((ROWS.long(), ROWS), 'student must be of floating .* tensor of torch.int64'),
        ((ROWS, ROWS > 0), 'teacher must be of floating .* tensor of torch.bool'),
        ((ROWS, [ROWS + 0j]), 'teacher must be of floating .* of torch.complex64'),
        (([[ROWS]], ROWS), 'student must be .* got a list of a list of a tensor'),
        ((ROWS, ROWS, [0] * N), 'targets must be .* got a list of a int'),
        (([ROWS] * 2, [ROWS] * 2, [LABELS]), 'targets .* for each of the 2 levels'),
        ((ROWS, ROWS, torch.tensor(1)), r'targets must be .* got a list of a tensor'),
        ((ROWS, ROWS, LABELS, 1.0), 'weights must be .* got a float'),
        ((ROWS, ROWS, LABELS, None, 0), 'divisor must be a number above 0, got 0'),
        ((ROWS, ROWS, LABELS, None, -1.0), 'divisor must be a number above 0, got -1'),
        ((ROWS, ROWS, LABELS, None, float('nan')), 'divisor must be a number above 0'),
        ((ROWS, ROWS, LABELS, None, torch.ones(N)), 'divisor .* got a tensor'),
    ],
)
def test_what_is_no_tensor_or_of_other_levels_is_refused(arguments, sentence):
    with pytest.raises(ConfigError, match=f'^KDLoss: (the )?{sentence}'):
        losses.KDLoss()(*arguments)


rows_or_cells = those(lambda name: len(CASES[name].student) < 4 and name != 'CRDLoss')


def narrow(loss, name, columns, rows=N):
    """The loss of the first columns and rows, and its gradient."""
    student, teacher = (
        side.detach()[:rows, :columns].clone()
        for side in draw(name, dtype=torch.double)
    )
    targets = LABELS[:rows] % columns if 'labels' in loss.needs else None
    if CASES[name].learns:
        loss.fit_to(student, teacher)
    value = loss(student.requires_grad_(), teacher, targets)
    value.backward()
    return value, student.grad


class TestFewColumns:
    @those(lambda name: build(name).least_columns > 1 and len(CASES[name].student) < 4)
    @pytest.mark.parametrize('rows', [N, 1, 0])
    def test_of_which_nothing_is_learned_are_refused(self, name, rows):
        loss = build(name)
        fewer = loss.least_columns - 1
        with pytest.raises(
            ConfigError, match=f'^{name}: .* fewer than {fewer + 1} col'
        ):
            narrow(loss, name, fewer, rows)

    @rows_or_cells
    def test_as_few_as_may_be_teach(self, name):
        value, gradient = narrow(build(name), name, build(name).least_columns)
        assert value.isfinite() and gradient.isfinite().all()
        assert gradient.abs().max() > 1e-3

    @rows_or_cells
    @pytest.mark.parametrize('rows', [1, 0])
    def test_of_one_row_or_none_are_finite(self, name, rows):
        value, gradient = narrow(build(name), name, build(name).least_columns, rows)
        assert value.isfinite() and gradient.isfinite().all()

    @pytest.mark.parametrize(
        'name, arguments',
        [
            ('AEKTLoss', dict(explicit_weight=0)),
            ('DISTLoss', dict(gamma=0)),
            ('DKDLoss', dict(alpha=0)),
            ('LSKDLoss', dict(loss=dict(type='KDLoss'))),
            ('LSKDLoss', dict(loss=dict(type='LumiNetLoss'))),
        ],
    )
    def test_two_are_few_where_three_are_needed(self, name, arguments):
        with pytest.raises(ConfigError, match='fewer than 3 columns'):
            narrow(getattr(losses, name)(**arguments), name, 2)
        _, gradient = narrow(getattr(losses, name)(**arguments), name, 3)
        assert gradient.abs().max() > 1e-3

    def test_of_features_for_similarities_are_refused(self):
        with pytest.raises(ConfigError, match='^SPLoss: .* fewer than 2 columns'):
            losses.SPLoss()(torch.randn(N, 1), torch.randn(N, 3))

    def test_of_unikds_predictions_are_refused(self):
        sides = [[torch.randn(N, 3, 6, 6), torch.randn(N, 1)] for _ in range(2)]
        with pytest.raises(ConfigError, match='^UniKDLoss: .* fewer than 2 columns'):
            losses.UniKDLoss().fit_to(*sides)


@pytest.mark.parametrize(
    'name, arguments',
    [
        ('AEKTLoss', dict(explicit_weight=0, implicit_weight=0)),
        ('DISTLoss', dict(beta=0, gamma=0)),
        ('DKDLoss', dict(alpha=0, beta=0)),
        ('LAKDLoss', dict(attention_weight=0, local_weight=0)),
        ('RKDLoss', dict(distance_weight=0, angle_weight=0)),
        ('SRRLLoss', dict(feature_weight=0, regression_weight=0)),
    ],
)
def test_parts_that_all_weigh_nothing_are_refused(name, arguments):
    with pytest.raises(ConfigError, match=f'^{name}: .* both 0, so there is nothing'):
        getattr(losses, name)(**arguments)


#: What a network may put out, of what is drawn.
HARD = dict(
    huge=lambda side: side * 1e4,
    opposite=lambda side: side.sign() * 1e9,
    tiny=lambda side: side * 1e-30,
    subnormal=lambda side: side * 1e-42,
    zeros=lambda side: side * 0,
    constant=lambda side: side * 0 + 3,
    equal_rows=lambda side: side[:1].expand_as(side),
    close=lambda side: side * 1e-7 + 5,
    far_from_zero=lambda side: side * 1e-3 - 1e4,
    float16=lambda side: (side * 3e4).clamp(-6e4, 6e4).half(),
    bfloat16=lambda side: (side * 1e9).bfloat16(),
)


@every
@pytest.mark.parametrize('kind', HARD)
def test_hard_numbers_give_finite_ones(name, kind):
    loss, (student, teacher) = ready(name, torch.float32), draw(name)
    student, teacher = student.detach().float(), teacher.float()
    hard = HARD[kind]
    pairs = [(hard(student), hard(teacher))]
    if hard(student).dtype == torch.float32:
        pairs += [(hard(student), teacher), (student, hard(teacher))]
    if student.shape == teacher.shape:
        pairs += [(hard(student), hard(student))]
    for sides in pairs:
        leaf = sides[0].clone().requires_grad_()
        value = call(loss, name, leaf, sides[1])
        value.backward()
        learned = [parameter.grad for parameter in loss.parameters()]
        assert value.isfinite()
        assert all(gradient.isfinite().all() for gradient in [leaf.grad, *learned])
