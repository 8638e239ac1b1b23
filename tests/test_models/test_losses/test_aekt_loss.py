"""AEKT: the published gradient facts, a slow one, what must hold of mmkd's reading."""

import cmath
import copy
import math

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from torch._subclasses.fake_tensor import FakeTensorMode

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.losses.aekt_loss import AEKTLoss, aekt_rows
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.dkd_loss import DKDLoss, dkd_rows
from mmkd.models.losses.kd_loss import kd_rows
from mmkd.testing import (
    classification_batch,
    detection_batch,
    toy_classifier,
    toy_detector,
)

LAYER = 'distill.loss_aekt.loss.layer'


def draw(seed=2, batch=8, classes=5):
    random = np.random.RandomState(seed)
    student = torch.tensor(random.randn(batch, classes))
    teacher = torch.tensor(random.randn(batch, classes) * 2)
    labels = torch.tensor(random.randint(0, classes, size=batch))
    return student.requires_grad_(), teacher, labels


def build(classes=(5,), dtype=torch.float64, moved=False, **kwargs):
    loss = AEKTLoss(**kwargs)
    shapes = [(2, number) for number in classes]
    loss.fit(LossInputs('loss_x', shapes, shapes, ['a'], ['b'], None))
    if moved:  # as training does
        random = torch.Generator().manual_seed(0)
        for parameter in loss.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=random)
    return loss.to(dtype)


def call(loss, student, teacher, labels):
    return loss([student], [teacher], [labels])


def rows(student, teacher, labels, tau=4.0, max_ratio=5.0):
    return aekt_rows(student, teacher, labels, tau, max_ratio)


# The slow reference: lists of Python numbers. They may be complex, for the step below.


def slow_softmax(logits, tau):
    powers = [cmath.exp(logit / tau) for logit in logits]
    return [power / sum(powers) for power in powers]


def slow_kl(teacher, student):
    return sum(p * (cmath.log(p) - cmath.log(q)) for p, q in zip(teacher, student))


def slow_kd(student, teacher, label, tau):
    return tau**2 * slow_kl(slow_softmax(teacher, tau), slow_softmax(student, tau))


def slow_implicit(student, teacher, label, tau):
    student, teacher = (
        [logit for index, logit in enumerate(side) if index != label]
        for side in (student, teacher)
    )
    return slow_kd(student, teacher, None, tau)


def slow_target_part(student, teacher, label, tau):
    p_student, p_teacher = (
        slow_softmax(side, tau)[label] for side in (student, teacher)
    )
    return tau**2 * slow_kl([p_teacher, 1 - p_teacher], [p_student, 1 - p_student])


def slow_ratio(student, teacher, label, tau, max_ratio):
    p_student, p_teacher = (
        slow_softmax(side, tau)[label] for side in (student, teacher)
    )
    # Its step is left out: no gradient.
    return min(p_teacher.real / p_student.real, max_ratio)


def slow_explicit(student, teacher, label, tau, max_ratio=5.0):
    ratio = slow_ratio(student, teacher, label, tau, max_ratio)
    return ratio * slow_target_part(student, teacher, label, tau)


def slow_loss(flat, teacher, labels, tau, weights, max_ratio):
    """The loss of student logits, layer's weight and bias, one list."""
    batch, classes = len(teacher), len(teacher[0])
    logits, flat = flat[: batch * classes], flat[batch * classes :]
    total = 0
    for n in range(batch):
        sample = logits[n * classes : (n + 1) * classes]
        serialised = []
        for k in range(classes):
            weight = flat[k * classes : (k + 1) * classes]
            bias = flat[classes * classes + k]
            serialised.append(sum(w * z for w, z in zip(weight, sample)) + bias)
        pair = serialised, teacher[n], labels[n], tau
        total += weights[0] * slow_explicit(*pair, max_ratio)
        total += weights[1] * slow_implicit(*pair)
    return total / batch


def slow_gradient(function, point):
    """Finite differences along the imaginary axis: exact, since nothing cancels."""
    gradient = []
    for index in range(len(point)):
        stepped = list(point)
        stepped[index] += 1e-30j
        gradient.append(function(stepped).imag / 1e-30)
    return gradient


def of_samples(function, student, teacher, labels, *args):
    """Gradients ``(N, K)`` of a slow function of one sample."""
    samples = zip(student.tolist(), teacher.tolist(), labels.tolist())
    return torch.tensor(
        [
            slow_gradient(lambda z, t=t, y=y: function(z, t, y, *args), z)
            for z, t, y in samples
        ]
    ).double()


def gradient_of(values, student):
    return torch.autograd.grad(values.sum(), student, retain_graph=True)[0]


def assert_equal(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-13)


@pytest.fixture(autouse=True)
def float64_by_default():
    """Lists of Python numbers become float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize('tau', [1.0, 4.0])
class TestPublishedGradients:
    """What the paper's analysis starts from, of mmkd's functions and of the slow ones.

    With the factor tau^2 a gradient is tau times that of softened logits.
    """

    def sides(self, tau):
        student, teacher, labels = draw()
        p_student, p_teacher = (
            torch.softmax(side / tau, 1) for side in (student, teacher)
        )
        return student, teacher, labels, p_student.detach(), p_teacher

    def test_of_kd_is_the_difference_of_probabilities(self, tau):
        student, teacher, labels, p_student, p_teacher = self.sides(tau)
        expected = tau * (p_student - p_teacher)
        assert_equal(gradient_of(kd_rows(student, teacher, tau), student), expected)
        assert_equal(of_samples(slow_kd, student, teacher, labels, tau), expected)

    def test_kd_is_its_target_part_and_the_implicit_part_by_the_non_target_mass(
        self, tau
    ):
        student, teacher, labels, p_student, p_teacher = self.sides(tau)
        label = labels[:, None]
        confidence = p_teacher.gather(1, label)[:, 0]
        ratio = confidence / p_student.gather(1, label)[:, 0]
        explicit, implicit = rows(student, teacher, labels, tau, max_ratio=1e6)
        whole = explicit / ratio + (1 - confidence) * implicit
        assert_equal(whole, kd_rows(student, teacher, tau))
        for z, t, y in zip(student.tolist(), teacher.tolist(), labels.tolist()):
            mass = 1 - slow_softmax(t, tau)[y]
            split = slow_target_part(z, t, y, tau) + mass * slow_implicit(z, t, y, tau)
            assert split.real == pytest.approx(slow_kd(z, t, y, tau).real, rel=1e-12)

    def test_of_the_implicit_part_is_zero_at_the_target(self, tau):
        student, teacher, labels, *_ = self.sides(tau)
        for gradient in (
            gradient_of(rows(student, teacher, labels, tau)[1], student),
            of_samples(slow_implicit, student, teacher, labels, tau),
        ):
            assert not gradient.gather(1, labels[:, None]).any()
            assert gradient.abs().max() > 1e-2

    def test_of_the_implicit_part_adapts_by_the_ratio_of_non_target_masses(self, tau):
        student, teacher, labels, p_student, p_teacher = self.sides(tau)
        label = labels[:, None]
        student_mass, teacher_mass = (
            1 - side.gather(1, label) for side in (p_student, p_teacher)
        )
        expected = (
            tau * (p_student * teacher_mass / student_mass - p_teacher) / teacher_mass
        )
        expected.scatter_(1, label, 0.0)
        ratio = teacher_mass / student_mass
        assert ratio.min() < 0.8 and ratio.max() > 1.2
        gradient = gradient_of(rows(student, teacher, labels, tau)[1], student)
        assert_equal(gradient, expected)
        gradient = of_samples(slow_implicit, student, teacher, labels, tau)
        assert_equal(gradient, expected)

    def test_of_the_explicit_part_is_the_weighted_gap_of_confidence(self, tau):
        """As mmkd reads it: at the target r (p_S - p_T), shared out over the others."""
        student, teacher, labels, p_student, p_teacher = self.sides(tau)
        label = labels[:, None]
        gap = (p_student - p_teacher).gather(1, label)
        ratio = (p_teacher / p_student).gather(1, label)
        assert ratio.min() < 1 and ratio.max() > 1.5
        ratio = ratio.clamp(max=1.5)
        shares = -p_student / (1 - p_student.gather(1, label))
        expected = tau * ratio * gap * shares.scatter(1, label, 1.0)
        gradient = gradient_of(rows(student, teacher, labels, tau, 1.5)[0], student)
        assert_equal(gradient, expected)


class TestRows:
    def test_the_ratio_grows_with_the_teachers_lead_up_to_the_clip(self):
        steps = torch.linspace(-6, 6, 25)
        student = torch.zeros(25, 5)
        student[:, 2] = -steps  # the student grows less and less certain
        teacher = torch.tensor([[0.3, -1.0, 2.0, 0.5, 0.1]]).expand(25, 5)
        labels = torch.full((25,), 2)
        explicit, _ = rows(student, teacher, labels, 1.0, 5.0)
        ratio = explicit / dkd_rows(student, teacher, labels, 1.0, 0.0, 1.0)
        confidences = (torch.softmax(side, 1)[:, 2] for side in (teacher, student))
        expected = torch.div(*confidences)
        assert expected.min() < 1 and expected.max() > 50
        assert_equal(ratio, expected.clamp(max=5.0))
        assert (ratio.diff() >= -1e-12).all() and (ratio < 1).any()

    def test_the_ratio_carries_no_gradient(self):
        student, teacher, labels = draw()
        explicit, _ = rows(student, teacher, labels)
        target_part = dkd_rows(student, teacher, labels, 1.0, 0.0, 4.0)
        ratio = (explicit / target_part).detach()
        assert ratio.std() > 0.1 and ratio.max() < 5
        expected = ratio[:, None] * gradient_of(target_part, student)
        torch.testing.assert_close(gradient_of(explicit, student), expected)

    def test_no_ratio_overflows(self):
        """A teacher that is certain, and a student that is certain of the opposite."""
        student = torch.tensor([[-1e4, 1e4, 0.0]], requires_grad=True)
        teacher, labels = -student.detach(), torch.tensor([0])
        explicit, implicit = rows(student, teacher, labels, 1.0, 5.0)
        assert explicit.item() == pytest.approx(5 * 2e4)
        assert implicit.isfinite().all()
        assert gradient_of(explicit + implicit, student).isfinite().all()


class TestLoss:
    @pytest.mark.parametrize('weights', [(1.0, 1.0), (0.7, 0.0), (0.0, 3.0)])
    @pytest.mark.parametrize('tau, max_ratio', [(4.0, 1.3), (1.0, 5.0)])
    def test_equals_a_slow_one_with_its_gradient(self, weights, tau, max_ratio):
        names = 'explicit_weight', 'implicit_weight'
        loss = build(
            tau=tau, max_ratio=max_ratio, moved=True, **dict(zip(names, weights))
        )
        student, teacher, labels = draw()
        serialised = loss.layer(student).tolist()
        samples = zip(serialised, teacher.tolist(), labels.tolist())
        ratios = [slow_ratio(*sample, tau, max_ratio) for sample in samples]
        assert min(ratios) < 1 and max(ratios) == max_ratio
        value = call(loss, student, teacher, labels)
        learned = [student, loss.layer.weight, loss.layer.bias]
        gradient = torch.autograd.grad(value, learned)

        def slow(flat):
            pair = teacher.tolist(), labels.tolist()
            return slow_loss(flat, *pair, tau, weights, max_ratio)

        point = torch.cat([tensor.detach().flatten() for tensor in learned]).tolist()
        assert value.item() == pytest.approx(slow(point).real, rel=1e-10)
        actual = torch.cat([tensor.flatten() for tensor in gradient])
        assert_equal(actual, torch.tensor(slow_gradient(slow, point)))

    def test_starts_as_the_identity(self):
        loss = build()
        assert torch.equal(loss.layer.weight, torch.eye(5))
        assert torch.equal(loss.layer.bias, torch.zeros(5))

    def test_without_the_explicit_part_it_starts_as_the_implicit_part_of_dkd(self):
        student, teacher, labels = draw()
        dkd = DKDLoss(alpha=0.0, beta=1.0)
        value, expected = (
            call(loss, student, teacher, labels)
            for loss in (build(explicit_weight=0.0), dkd)
        )
        assert value.item() == pytest.approx(expected.item(), rel=1e-12)
        assert_equal(gradient_of(value, student), gradient_of(expected, student))

    def test_zero_where_student_equals_teacher_and_the_layer_stays(self):
        _, teacher, labels = draw()
        student = teacher.clone().requires_grad_()
        loss = build()
        value = call(loss, student, teacher, labels)
        value.backward()
        assert value.item() == pytest.approx(0, abs=1e-12)
        for tensor in (student, *loss.parameters()):
            assert tensor.grad.abs().max() < 1e-12

    @pytest.mark.parametrize('moved', [False, True])
    def test_order_and_number_of_samples_change_nothing(self, moved):
        student, teacher, labels = draw()
        loss = build(moved=moved)
        once = call(loss, student, teacher, labels).item()
        for order in (torch.arange(8).repeat(2), torch.arange(7, -1, -1)):
            other = call(loss, student[order], teacher[order], labels[order])
            assert other.item() == pytest.approx(once, rel=1e-12)

    @pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
    def test_finite_for_huge_logits(self, dtype):
        student, teacher, labels = draw()
        student = (student.detach() * 1e4).to(dtype).requires_grad_()
        loss = build(dtype=torch.float32)
        value = call(loss, student, (-teacher * 1e4).to(dtype), labels)
        value.backward()
        assert value.dtype == torch.float32 and value.isfinite()
        for tensor in (student, *loss.parameters()):
            assert tensor.grad.isfinite().all()
        assert student.grad.any()

    def test_half_precision_is_computed_in_float32_under_autocast(self):
        student, teacher, labels = draw(batch=64, classes=100)
        student, teacher = student.detach().bfloat16(), teacher.bfloat16()
        loss = build([100], torch.float32, moved=True)
        exact = call(loss, student.float(), teacher.float(), labels)
        with torch.autocast('cpu', torch.bfloat16):
            assert call(loss, student, teacher, labels) == exact

    @pytest.mark.parametrize('batch', [8, 0])
    def test_does_not_wait_for_the_device(self, batch):
        """A fake tensor has no value to wait for: reading one raises."""
        loss = build()
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            student, teacher, labels = (
                mode.from_tensor(tensor.detach()[:batch]) for tensor in draw()
            )
            call(loss, student.requires_grad_(), teacher, labels).backward()

    @pytest.mark.parametrize('labels', [None, torch.zeros(0).long()])
    def test_an_empty_selection_gives_the_layer_a_gradient_of_zero(self, labels):
        """DDP waits for the gradient of every parameter, from every process."""
        loss = build()
        call(loss, *draw())  # as the dry run does: the log's names are known since
        student = torch.zeros(0, 5, requires_grad=True)
        value = call(loss, student, torch.zeros(0, 5), labels)
        value.backward()
        assert value.item() == 0 and student.grad is not None
        for parameter in loss.parameters():
            assert parameter.grad is not None and not parameter.grad.any()
        assert loss.parts == dict(explicit=0, implicit=0)

    def test_levels_share_one_layer_and_are_averaged_with_their_parts(self):
        loss = build([5, 5], moved=True)
        assert len(list(loss.parameters())) == 2
        first, second, empty = draw(seed=0), draw(seed=1), draw(batch=0)
        values, parts = [], []
        for level in (first, second, empty):
            values.append(call(loss, *level).item())
            parts.append({name: part.item() for name, part in loss.parts.items()})
        together = loss(*map(list, zip(first, second, empty)))
        assert together.item() == pytest.approx(sum(values) / 3, rel=1e-12)
        for name in ('explicit', 'implicit'):
            mean = sum(part[name] for part in parts) / 3
            assert loss.parts[name].item() == pytest.approx(mean, rel=1e-12)

    def test_parts_are_weighted_and_have_no_gradient(self):
        student, teacher, labels = draw()
        loss = build(explicit_weight=2.0, implicit_weight=0.5)
        value = call(loss, student, teacher, labels)
        expected = rows(student, teacher, labels)
        for name, weight, row in zip(('explicit', 'implicit'), (2, 0.5), expected):
            part = loss.parts[name]
            assert part.item() == pytest.approx(weight * row.mean().item(), rel=1e-12)
            assert not part.requires_grad and part.dim() == 0
        total = sum(loss.parts.values()).item()
        assert total == pytest.approx(value.item(), rel=1e-12)


class TestWrongInputs:
    @pytest.mark.parametrize(
        'wrong',
        [
            dict(tau=0),
            dict(tau=-1.0),
            dict(explicit_weight=-1.0),
            dict(implicit_weight='1'),
            dict(max_ratio=0),
            dict(max_ratio=0.5),
            dict(max_ratio=math.inf),
            dict(soft_targets='mean'),
        ],
    )
    def test_bad_arguments_are_refused_when_building(self, wrong):
        with pytest.raises(ConfigError, match=f'AEKTLoss: {next(iter(wrong))} must be'):
            AEKTLoss(**wrong)

    def test_both_weights_zero(self):
        with pytest.raises(ConfigError, match='both 0, so there is nothing to learn'):
            AEKTLoss(explicit_weight=0.0, implicit_weight=0)

    def test_levels_of_different_classes(self):
        with pytest.raises(ConfigError, match=r'loss_x: .* got \[5, 6\] classes'):
            build([5, 6])

    def test_maps_are_refused(self):
        loss, shapes = AEKTLoss(), [(2, 4, 3, 3)]
        with pytest.raises(ConfigError, match=r'loss_x: .* rows \(N, C\)'):
            loss.fit(LossInputs('loss_x', shapes, shapes, ['a'], ['b'], None))

    def test_mixed_labels_are_refused_or_taken_by_their_largest(self):
        student, teacher, labels = draw()
        soft = 0.7 * torch.eye(5)[labels] + 0.06
        with pytest.raises(ConfigError, match="soft_targets='argmax'"):
            call(build(), student, teacher, soft)
        mixed = call(build(soft_targets='argmax'), student, teacher, soft)
        assert mixed == call(build(), student, teacher, labels)


def distiller(student, teacher, on='logits', **kwargs):
    torch.manual_seed(0)
    losses = dict(loss_aekt=dict(type='AEKTLoss', on=on, **kwargs))
    teacher = dict(config=teacher, allow_untrained=True)
    return Distiller(student, losses, teacher=teacher).train()


def classifier(**kwargs):
    return distiller(toy_classifier(), toy_classifier(width=12), **kwargs)


def compute(model):
    data = model.data_preprocessor(copy.deepcopy(classification_batch()), True)
    return model(**data, mode='loss')


def predict(model):
    data = model.data_preprocessor(copy.deepcopy(classification_batch()), False)
    with torch.no_grad():
        samples = model.eval()(**data, mode='predict')
    return torch.stack([sample.pred_score for sample in samples])


def train(model, batch):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optim_wrapper = OptimWrapper(torch.optim.SGD(parameters, lr=0.05))
    return model.train_step(copy.deepcopy(batch), optim_wrapper)


class TestInADistiller:
    @pytest.fixture(autouse=True)
    def float32_by_default(self, float64_by_default):
        torch.set_default_dtype(torch.float32)

    def test_a_step_trains_the_layer_and_logs_what_the_loss_is_made_of(self):
        model = classifier(weight=0.5)
        layer = model.distill['loss_aekt'].loss.layer
        log = train(model, classification_batch())
        assert not torch.equal(layer.weight, torch.eye(10)) and layer.bias.any()
        parts = log['explicit_aekt'] + log['implicit_aekt']
        assert parts > 0
        assert log['loss_aekt'].item() == pytest.approx(0.5 * parts.item(), rel=1e-6)

    def test_without_the_explicit_part_it_starts_as_cross_entropy_and_nckd(self):
        model = classifier(explicit_weight=0.0)
        seen = []
        loss = model.distill['loss_aekt'].loss
        loss.register_forward_pre_hook(
            lambda _, args: seen.extend(column[0] for column in args[:3])
        )
        total = sum(v for k, v in compute(model).items() if k.startswith('loss'))
        student, teacher, labels = seen
        entropy = torch.nn.functional.cross_entropy(student, labels)
        expected = entropy + dkd_rows(student, teacher, labels, 0.0, 1.0, 4.0).mean()
        assert total.item() == pytest.approx(expected.item(), rel=1e-5)
        weights = list(model.student.parameters())
        gradients, references = (
            torch.autograd.grad(value, weights, retain_graph=True)
            for value in (total, expected)
        )
        for gradient, reference in zip(gradients, references):
            torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-6)

    def test_cross_entropy_and_inference_do_not_pass_the_layer(self):
        model = classifier()
        train(model, classification_batch())
        model.train()
        layer = model.distill['loss_aekt'].loss.layer
        layer.zero_grad()
        compute(model)['loss_student'].backward()
        assert layer.weight.grad is None and layer.bias.grad is None
        before = predict(model)
        del model.distill['loss_aekt'].loss.layer
        assert torch.equal(predict(model), before)

    def test_the_layer_is_saved_apart_and_dropped_by_the_export(self):
        model = classifier()
        train(model, classification_batch())
        state = model.state_dict()
        extras = {key for key in state if key.startswith('distill.')}
        assert extras == {f'{LAYER}.weight', f'{LAYER}.bias'}
        resumed = classifier()
        resumed.load_state_dict(state)
        for module in (model, resumed):
            module.train()
        assert torch.equal(compute(resumed)['loss_aekt'], compute(model)['loss_aekt'])
        exported = {key: state[key] for key in state if key not in extras}
        stock = MODELS.build(toy_classifier())
        assert exported.keys() == stock.state_dict().keys()
        stock.load_state_dict(exported, strict=True)
        assert torch.equal(predict(stock), predict(model))

    def test_takes_the_rois_of_a_cascade_with_the_background(self):
        cascade = [toy_detector('cascade', width=width) for width in (8, 12)]
        model = distiller(*cascade, on='roi.logits')
        layer = model.distill['loss_aekt'].loss.layer
        assert layer.weight.shape == (6, 6)
        log = train(model, detection_batch())
        assert log['loss_aekt'].isfinite() and log['loss_aekt'] > 0
        assert not torch.equal(layer.weight, torch.eye(6))
