"""Contrastive representation distillation against its formula, and its memories."""

import copy
import math

import numpy as np
import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.runner.checkpoint import get_state_dict

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.crd_loss import CRDLoss
from mmkd.models.losses.parts.negatives import Negatives
from mmkd.testing import toy_classifier

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 2, 1, 0, 0, 2, 1])
N, SHAPES = len(LABELS), ((2, 4), (2, 6))


def inputs(student, teacher):
    return LossInputs('at neck', [student], [teacher], ['neck'], ['neck'], None)


def build(seed=0, labels=LABELS, **kwargs):
    torch.manual_seed(seed)
    kwargs = dict(dict(num_samples=N, feat_dim=5, negatives=7), **kwargs)
    loss = CRDLoss(**kwargs)
    loss.fit(inputs(*SHAPES))
    if labels is not None:
        loss.see_training_set(labels)
    return loss.double().train()


def batch(index, seed=0):
    random = np.random.RandomState(seed)
    student, teacher = random.randn(len(index), 4), random.randn(len(index), 6)
    student = torch.tensor(student, requires_grad=True)
    return student, torch.tensor(teacher), torch.tensor(index)


def call(loss, student, teacher, index):
    return loss([student], [teacher], index=index)


def fix_negatives(loss):
    """Draw beforehand, for every sample of the data set."""
    table = loss.negatives.draw(torch.arange(N), loss.count)
    loss.negatives.draw = lambda index, count: table[index]
    return table.numpy()


class Reference:
    """The method as the paper states it, one number after the other."""

    def __init__(self, loss, table, tau=0.07, momentum=0.5):
        self.table, self.tau, self.momentum = table, tau, momentum
        self.memories = [
            loss.teacher_memory.numpy().copy(),
            loss.student_memory.numpy().copy(),
        ]
        self.z = [None, None]

    def embed(self, features, weight, bias):
        rows = []
        for row in features:
            mapped = [
                sum(w * x for w, x in zip(ws, row)) + b for ws, b in zip(weight, bias)
            ]
            norm = math.sqrt(sum(x * x for x in mapped))
            rows.append([x / norm for x in mapped])
        return rows

    def value(self, features, maps, index):
        """Loss of both sides' ``features``; also sets ``Z`` where it is not set."""
        self.embedded = [self.embed(x, *m) for x, m in zip(features, maps)]
        total = 0.0
        for side, anchors in enumerate(self.embedded):
            odds = []
            for anchor, own in zip(anchors, index):
                candidates = [own, *self.table[own]]
                rows = [self.memories[side][place] for place in candidates]
                dots = [sum(a * u for a, u in zip(anchor, row)) for row in rows]
                odds.append([math.exp(dot / self.tau) for dot in dots])
            if self.z[side] is None:
                self.z[side] = np.mean(odds) * N
            count = len(odds[0]) - 1
            noise = count / N
            for row in odds:
                p = [value / self.z[side] for value in row]
                total -= math.log(p[0] / (p[0] + noise + 1e-7)) / len(odds)
                for value in p[1:]:
                    total -= math.log(noise / (value + noise + 1e-7)) / len(odds)
        return total

    def update(self, index):
        for side, own in ((1, self.embedded[0]), (0, self.embedded[1])):
            for place, new in dict(zip(index, own)).items():
                old = self.memories[side][place]
                mixed = [
                    self.momentum * o + (1 - self.momentum) * n
                    for o, n in zip(old, new)
                ]
                norm = math.sqrt(sum(x * x for x in mixed))
                self.memories[side][place] = [x / norm for x in mixed]


def maps_of(loss):
    return [
        [layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()]
        for layer in (loss.student_embedding, loss.teacher_embedding)
    ]


def slopes(function, array, eps=1e-6):
    """Central differences of ``function()`` by each element of ``array``."""
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        before = array[place]
        array[place] = before + eps
        above = function()
        array[place] = before - eps
        gradient[place] = (above - function()) / (2 * eps)
        array[place] = before
    return gradient


@pytest.mark.parametrize('kwargs', [{}, dict(tau=0.2, momentum=0.9, negatives=3)])
def test_value_gradient_and_memories_follow_the_formula(kwargs):
    loss = build(**kwargs)
    arguments = {key: kwargs[key] for key in ('tau', 'momentum') if key in kwargs}
    reference = Reference(loss, fix_negatives(loss), **arguments)
    maps = maps_of(loss)
    # The second step has Z of the first, and two samples that it has changed.
    for seed, index in enumerate([[3, 0, 7, 10], [10, 2, 3, 5]]):
        student, teacher, places = batch(index, seed)
        loss.zero_grad()
        value = call(loss, student, teacher, places)
        value.backward()
        features = [student.detach().numpy().copy(), teacher.numpy()]
        wanted = reference.value(features, maps, index)
        assert value.item() == pytest.approx(wanted, rel=1e-9)
        assert loss.log_z.exp().tolist() == pytest.approx(reference.z, rel=1e-9)

        def again():
            return reference.value(features, maps, index)  # noqa: B023

        layers = loss.student_embedding, loss.teacher_embedding
        pairs = [(student, features[0])]
        for layer, (weight, bias) in zip(layers, maps):
            pairs += [(layer.weight, weight), (layer.bias, bias)]
        for tensor, array in pairs:
            wanted = torch.tensor(slopes(again, array))
            torch.testing.assert_close(tensor.grad, wanted, rtol=1e-5, atol=1e-7)
        again()  # at the place itself, before the memories take it
        reference.update(index)
        for memory, wanted in zip(
            (loss.teacher_memory, loss.student_memory), reference.memories
        ):
            torch.testing.assert_close(memory, torch.tensor(wanted))
    assert teacher.grad is None


class TestNegatives:
    def draw(self, labels, index, count=7, room=None):
        torch.manual_seed(0)
        negatives = Negatives('Loss', room or len(labels))
        negatives.see(labels)
        return negatives.draw(torch.tensor(index), count)

    @pytest.mark.parametrize(
        'labels', [LABELS, LABELS * 5 - 3, torch.tensor([0] * 11 + [1])]
    )
    def test_are_of_other_classes_and_uniform(self, labels):
        count = 20000
        drawn = self.draw(labels, list(range(N)), count)
        for own, row in enumerate(drawn):
            others = labels != labels[own]
            times = row.bincount(minlength=N)
            assert times.sum() == count and not times[~others].any()
            share = count / others.sum()
            statistic = ((times[others] - share).square() / share).sum()
            degrees = others.sum() - 1
            # Mean and variance of chi-squared are its degrees of freedom and twice.
            assert statistic <= degrees + 5 * (2 * degrees) ** 0.5

    def test_of_a_slice_are_in_the_slice(self):
        drawn = self.draw(LABELS[:5], [0, 1, 2, 3, 4], 500, room=N)
        wanted = [{1, 2, 4}, {0, 2, 3}, {0, 1, 3, 4}, {1, 2, 4}, {0, 2, 3}]
        assert [set(row) for row in drawn.tolist()] == wanted

    def test_differ_between_anchors_and_draws(self):
        loss = build(negatives=50)
        index = torch.tensor([0, 3])  # of one class
        first, second = (loss.negatives.draw(index, 50) for _ in range(2))
        assert not torch.equal(first, second)
        assert not torch.equal(first[0], first[1])

    @pytest.mark.parametrize(
        'labels, sentence',
        [
            (torch.zeros(N + 1).long(), r'\(13,\).*at most num_samples=12.*set'),
            (torch.zeros(4, 2).long(), r'\(4, 2\).*one a sample'),
            (torch.zeros(0).long(), r'\(0,\)'),
            (torch.ones(5).long(), 'all 5 samples.*at least two'),
        ],
    )
    def test_labels_that_do_not_do(self, labels, sentence):
        with pytest.raises(ConfigError, match=f'CRDLoss: .*{sentence}'):
            CRDLoss(N).see_training_set(labels)


class TestMemories:
    def test_start_alike_in_every_process_and_as_the_authors(self):
        first, second = (build(seed, num_samples=N, feat_dim=300) for seed in (0, 1))
        for name in ('student_memory', 'teacher_memory'):
            assert torch.equal(getattr(first, name), getattr(second, name))
        memory = first.student_memory
        assert not torch.equal(memory, first.teacher_memory)
        # Uniform between -1 / sqrt(dim / 3) and 1 / sqrt(dim / 3).
        assert 0.099 < memory.abs().max() < 0.1
        assert memory.mean().abs() < 0.003
        assert memory.square().mean() == pytest.approx(1 / 300, rel=0.05)
        weight = first.student_embedding.weight
        assert not torch.equal(weight, second.student_embedding.weight)

    def test_change_at_the_batch_alone(self):
        loss = build()
        before = copy.deepcopy(loss)
        call(loss, *batch([1, 4]))
        for name in ('student_memory', 'teacher_memory'):
            old, new = getattr(before, name), getattr(loss, name)
            changed = (old != new).any(dim=1).nonzero().flatten().tolist()
            assert changed == [1, 4]
            torch.testing.assert_close(new[[1, 4]].norm(dim=1), torch.ones(2).double())

    def test_of_an_index_that_comes_twice_the_first_counts(self):
        torch.manual_seed(0)
        twice, once = build(), build()
        call(twice, *batch([1, 4, 1]))
        student, teacher, index = batch([1, 4, 1])
        call(once, student[:2], teacher[:2], index[:2])
        assert torch.equal(twice.student_memory, once.student_memory)
        assert torch.equal(twice.teacher_memory, once.teacher_memory)

    @pytest.mark.parametrize('how', ['eval', 'no_grad'])
    def test_stay_where_the_loss_is_only_measured(self, how):
        loss = build().train(how != 'eval')
        before = copy.deepcopy(loss.state_dict())
        with torch.set_grad_enabled(how == 'eval'):
            value = call(loss, *batch([1, 4]))
        assert value.isfinite() and same(before, loss.state_dict())
        call(loss.train(), *batch([1, 4]))
        assert loss.log_z.isfinite().all()

    def test_and_z_are_saved_and_labels_not(self):
        loss = build()
        call(loss, *batch([1, 4]))
        state = copy.deepcopy(loss.state_dict())
        linear = [f'{side}_embedding' for side in ('student', 'teacher')]
        layers = [f'{name}.{part}' for name in linear for part in ('weight', 'bias')]
        assert list(state) == ['student_memory', 'teacher_memory', 'log_z', *layers]
        other = build(seed=1)
        other.load_state_dict(state)
        values = []
        for module in (loss, other):
            torch.manual_seed(3)
            values.append(call(module, *batch([2, 4], seed=1)).item())
        assert values[0] == values[1] and same(loss.state_dict(), other.state_dict())

    def test_of_the_authors_size_take_what_the_docstring_says(self):
        loss = CRDLoss(num_samples=50000)
        held = sum(value.nbytes for value in loss.state_dict().values())
        assert held / 1e6 == pytest.approx(51.2, abs=0.1)


def same(state, other):
    return list(state) == list(other) and all(
        torch.equal(state[k], other[k]) for k in state
    )


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('scale', [1.0, 1e4])
@pytest.mark.parametrize('tau', [0.07, 0.005])
def test_finite_for_huge_and_half_precision_features(dtype, scale, tau):
    loss = build(tau=tau).float()
    student, teacher, index = batch([1, 4, 7])
    student = (student.detach() * scale).to(dtype).requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        value = call(loss, student, (-teacher * scale).to(dtype), index)
    value.backward()
    assert value.dtype == torch.float32 and value.isfinite()
    parameters = [parameter.grad for parameter in loss.parameters()]
    assert all(grad.isfinite().all() for grad in [student.grad, *parameters])
    assert all(buffer.isfinite().all() for buffer in loss.buffers())


def test_finite_for_features_of_zero():
    loss = build()
    for layer in (loss.student_embedding, loss.teacher_embedding):
        layer.bias.data.zero_()
    student = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.zeros(2, 6, dtype=torch.float64)
    value = call(loss, student, teacher, torch.tensor([0, 1]))
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()
    assert loss.student_memory.isfinite().all()


def test_a_permuted_batch_has_the_same_loss():
    loss, order = build(), [2, 0, 1]
    fix_negatives(loss)
    other = copy.deepcopy(loss)
    student, teacher, index = batch([3, 0, 7])
    once = call(loss, student, teacher, index)
    again = call(other, student[order], teacher[order], index[order])
    assert again.item() == pytest.approx(once.item(), rel=1e-12)
    torch.testing.assert_close(loss.student_memory, other.student_memory)


class TestErrors:
    @pytest.mark.parametrize(
        'kwargs, sentence',
        [
            (dict(num_samples=0), 'num_samples must be a whole number .*got 0'),
            (dict(negatives=1.5), 'negatives must be a whole number .*got 1.5'),
            (dict(feat_dim=True), 'feat_dim must be a whole number .*got True'),
            (dict(tau=0.0), 'tau must be a number above 0'),
            (dict(momentum=1.0), 'momentum .* below 1, got 1.0'),
        ],
    )
    def test_of_arguments(self, kwargs, sentence):
        with pytest.raises(ConfigError, match=f'CRDLoss: {sentence}'):
            CRDLoss(**dict(dict(num_samples=N), **kwargs))

    def test_of_shapes(self):
        with pytest.raises(ConfigError, match=r"^at neck: .*\(2, 4, 8, 8\).*'neck'"):
            CRDLoss(N).fit(inputs((2, 4, 8, 8), (2, 6, 4, 4)))
        two = LossInputs('at', [(2, 4)] * 2, [(2, 6)] * 2, ['a', 'b'], ['a', 'b'], None)
        with pytest.raises(ConfigError, match='^at: got 2 levels.* one'):
            CRDLoss(N).fit(two)

    def test_of_labels_that_no_hook_brought(self):
        with pytest.raises(ConfigError, match='no labels .*TrainingLabelsHook'):
            call(build(labels=None), *batch([0, 1]))

    def test_of_rows_that_are_no_images(self):
        student, teacher, index = batch([0, 1, 2])
        with pytest.raises(ConfigError, match='3 rows of features for 2 images'):
            call(build(), student, teacher, index[:2])


class TestInADistiller:
    def build(self):
        spec = dict(type='CRDLoss', on='neck', num_samples=N, feat_dim=5, negatives=7)
        teacher = dict(config=toy_classifier(width=12), allow_untrained=True)
        model = Distiller(toy_classifier(), dict(loss_crd=spec), teacher=teacher)
        return model.train()

    def test_embeds_both_sides_and_leaves_the_students_keys_alone(self):
        model = self.build()
        loss = model.distill['loss_crd'].loss
        assert loss.student_embedding.in_features == 64
        assert loss.teacher_embedding.in_features == 96
        trained = dict(model.named_parameters())
        for side in ('student', 'teacher'):
            assert f'distill.loss_crd.loss.{side}_embedding.weight' in trained
        stock = model.student.state_dict()
        state = get_state_dict(model)
        exported = [key for key in state if not key.startswith('distill.')]
        assert exported == list(stock)
        assert 'distill.loss_crd.loss.student_memory' in state

    def test_an_averaged_copy_made_before_the_labels_came_still_follows(self):
        model = self.build()
        average = ExponentialMovingAverage(model)
        loss = model.distill['loss_crd'].loss
        loss.see_training_set(LABELS)
        features = torch.randn(2, 64), torch.randn(2, 96)
        call(loss, *features, torch.tensor([1, 4]))
        average.update_parameters(model)
        copied = average.module.distill['loss_crd'].loss
        assert torch.equal(copied.student_memory, loss.student_memory)
        assert torch.equal(copied.negatives.size, loss.negatives.size)
        assert copied.student_memory is not loss.student_memory


def test_no_sample_leaves_everything_as_it_was():
    loss = build()
    before = copy.deepcopy(loss.state_dict())
    student, teacher, index = batch([1, 4])
    value = call(loss, student[:0], teacher[:0], index[:0])
    value.backward()
    assert value.item() == 0 and same(before, loss.state_dict())
    assert not any(parameter.grad.any() for parameter in loss.parameters())
