"""LAKD: its formulas by loops, one part of it as FitNet, and on real networks."""

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch._subclasses.fake_tensor import FakeTensorMode

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.lakd_loss import LAKDLoss, activation_map, attention_loss
from mmkd.testing import classification_batch

#: Odd sizes; another size and other channels than the teacher; below the window.
STUDENT = [
    (2, 3, 7, 7),
    (2, 4, 7, 5),
    (2, 3, 3, 4),
    (2, 5, 1, 3),
    (2, 16, 2),
    (2, 3, 4, 4),
]
TEACHER = [
    (2, 3, 7, 7),
    (2, 3, 3, 5),
    (2, 3, 6, 8),
    (2, 2, 1, 3),
    (2, 5, 3),
    (2, 10, 4),
]
STAGES = [f'backbone.layer{number}' for number in (1, 2, 3)]
SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))


def draw(shapes, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=random, dtype=dtype) for shape in shapes]


def build(student=STUDENT, teacher=TEACHER, **kwargs):
    torch.manual_seed(0)
    loss = LAKDLoss(**kwargs)
    names = [f'module{level}' for level, _ in enumerate(student)]
    loss.fit(LossInputs('loss_x', list(student), list(teacher), names, names, None))
    return loss


def call(loss, student, teacher):
    return loss(student, teacher, [None] * len(student))


def gradients(value, *of):
    return torch.autograd.grad(value, of)


def network(backbone, channels, **more):
    head = dict(type='LinearClsHead', in_channels=channels, num_classes=10, topk=(1,))
    return dict(
        type='mmpretrain.ImageClassifier',
        _scope_='mmpretrain',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(head, loss=dict(type='CrossEntropyLoss', loss_weight=0.4)),
        data_preprocessor=dict(mean=[127.5] * 3, std=[64.0] * 3),
        **more,
    )


def resnet(depth, widths):
    kind = dict(type='mmkd.CIFARResNet', depth=depth, widths=widths)
    return network(kind, widths[-1])


def swin():
    arch = dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2])
    kind = dict(type='SwinTransformer', arch=arch, img_size=32, window_size=4)
    return network(dict(kind, out_indices=(1,)), 16)


def vit():
    arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=8)
    kind = dict(type='VisionTransformer', arch=arch, img_size=32, patch_size=8)
    return network(dict(kind, out_type='featmap'), 16)


SMALL, BIG = resnet(8, (4, 4, 8, 12)), resnet(14, (4, 6, 12, 24))


def distiller(losses, student=SMALL, teacher=BIG, size=(32, 32)):
    torch.manual_seed(0)
    return Distiller(
        copy.deepcopy(student),
        losses,
        teacher=dict(config=copy.deepcopy(teacher), allow_untrained=True),
        probe_size=size,
    )


def lakd(on=STAGES, **kwargs):
    return distiller(dict(loss_lakd=dict(type='LAKDLoss', on=on, **kwargs)))


def losses_of(model, dtype=torch.float32):
    data = model.data_preprocessor(classification_batch(n=6), True)
    return model.to(dtype)(data['inputs'].to(dtype), data['data_samples'], mode='loss')


# The formulas, number by number.


def slow_map(maps, average, maximum, size):
    """Of one sample, ``(C, H, W)``: a list of scalars."""
    height, width = maps.shape[1:]
    rows, columns = min(size, height), min(size, width)
    values = []
    for top in range(0, height - rows + 1, rows):
        for left in range(0, width - columns + 1, columns):
            sums = [
                sum(channel[top + row, left + column] for channel in maps)
                for row in range(rows)
                for column in range(columns)
            ]
            largest = sums[0]
            for value in sums[1:]:
                largest = value if value > largest else largest
            values.append(average * sum(sums) / len(sums) + maximum * largest)
    return values


def slow_attention(student, teacher, *args):
    total = 0
    for pair in zip(student, teacher):
        maps = [slow_map(sample, *args) for sample in pair]
        norms = [sum(value**2 for value in side) ** 0.5 for side in maps]
        for value, reference in zip(*maps):
            total = total + (value / norms[0] - reference / norms[1]) ** 2
    return total / len(student)


def slow_resize(maps, size):
    """Means of bins, which overlap where sizes do not divide."""
    bins = [
        [(i * old // new, -(-(i + 1) * old // new)) for i in range(new)]
        for old, new in zip(maps.shape[2:], size)
    ]
    return torch.stack(
        [
            torch.stack(
                [maps[:, :, a:b, c:d].mean(dim=(2, 3)) for c, d in bins[1]], dim=2
            )
            for a, b in bins[0]
        ],
        dim=2,
    )


def slow_loss(loss, students, teachers):
    total = 0
    for student, teacher, adapter in zip(students, teachers, loss.adapters):
        student, teacher = (slow_maps(side) for side in (student, teacher))
        size = [min(pair) for pair in zip(student.shape[2:], teacher.shape[2:])]
        student, teacher = slow_resize(student, size), slow_resize(teacher, size)
        args = loss.average, loss.maximum, loss.pool_size
        attention = slow_attention(student, teacher, *args)
        if student.size(1) != teacher.size(1):
            weight = adapter.weight[:, :, 0, 0]
            student = torch.einsum('oi,nihw->nohw', weight, student)
            student = student + adapter.bias[:, None, None]
        local = sum(gap**2 for gap in (student - teacher).flatten()) / teacher.numel()
        total = total + loss.attention_weight * attention + loss.local_weight * local
    return total


def slow_maps(features):
    if features.dim() == 4:
        return features
    side = int(features.size(1) ** 0.5)
    rows = [
        torch.stack([features[:, -(side**2) + side * r + c] for c in range(side)], 2)
        for r in range(side)
    ]
    return torch.stack(rows, 2)


class TestFormulas:
    @pytest.mark.parametrize('average, maximum', [(1.0, 1.0), (0.3, 0), (0, 2.0)])
    @pytest.mark.parametrize('size', [1, 2, 3])
    @pytest.mark.parametrize('shape', [(7, 7), (4, 6), (1, 3), (2, 1)])
    def test_activation_map_equals_a_slow_one(self, shape, size, average, maximum):
        (maps,) = draw([(2, 3, *shape)])
        maps.requires_grad_()
        actual = activation_map(maps, average, maximum, size)
        rows, columns = (side // min(side, size) for side in shape)
        assert actual.shape == (2, rows, columns)
        slow = [slow_map(sample, average, maximum, size) for sample in maps]
        expected = torch.stack([torch.stack(values) for values in slow]).view_as(actual)
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
        (factors,) = draw([actual.shape], seed=1)
        gradient, reference = (
            gradients((factors * value).sum(), maps)[0] for value in (actual, expected)
        )
        torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-12)

    def test_activation_map_does_not_see_which_channels_are_active(self):
        (maps,) = draw([(2, 5, 4, 6)])
        order = [3, 0, 4, 1, 2]
        plain = activation_map(maps)
        torch.testing.assert_close(plain, activation_map(maps[:, order]))
        assert not torch.allclose(plain, activation_map(maps.flip(3)))

    def test_attention_does_not_see_sizes_of_features_but_where_they_are(self):
        student, teacher = draw([(2, 3, 6, 6), (2, 5, 6, 6)])
        args = 1.0, 1.0, 2
        value = attention_loss(student, teacher, *args)
        torch.testing.assert_close(attention_loss(7 * student, teacher, *args), value)
        torch.testing.assert_close(
            value, slow_attention(student, teacher, *args), rtol=1e-10, atol=0
        )

    @pytest.mark.parametrize(
        'kwargs',
        [
            dict(),
            dict(attention_weight=0.7, local_weight=0.2, average=0.3, maximum=1.5),
            dict(pool_size=3, maximum=0),
            dict(attention_weight=0),
            dict(local_weight=0),
        ],
    )
    def test_the_sum_over_parts_equals_a_slow_one(self, kwargs):
        loss = build(**kwargs).double()
        student, teacher = draw(STUDENT), draw(TEACHER, seed=1)
        learned = [*map(torch.Tensor.requires_grad_, student), *loss.parameters()]
        value = call(loss, student, teacher)
        expected = slow_loss(loss, student, teacher)
        assert value.item() == pytest.approx(expected.item(), rel=1e-10)
        actual = gradients(value, *learned)
        references = torch.autograd.grad(expected, learned, materialize_grads=True)
        for gradient, reference in zip(actual, references):
            torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-12)

    def test_zero_value_and_gradient_where_both_are_equal(self):
        shapes = [(2, 3, 7, 7), (2, 4, 2, 2), (2, 16, 3)]
        loss = build(shapes, shapes)
        student, teacher = draw(shapes), draw(shapes)
        student = [maps.requires_grad_() for maps in student]
        value = call(loss, student, teacher)
        assert value == 0 and not list(loss.parameters())
        assert not any(gradient.any() for gradient in gradients(value, *student))

    def test_unchanged_by_doubling_the_batch_and_by_the_order_of_samples(self):
        loss = build().double()
        student, teacher = draw(STUDENT), draw(TEACHER, seed=1)
        once = call(loss, student, teacher)
        doubled = [
            [torch.cat([maps, maps]) for maps in side] for side in (student, teacher)
        ]
        torch.testing.assert_close(call(loss, *doubled), once)
        flipped = [[maps.flip(0) for maps in side] for side in (student, teacher)]
        torch.testing.assert_close(call(loss, *flipped), once)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('scale', [1e4, 0.0])
def test_finite_for_huge_and_for_no_features(dtype, scale):
    loss = build()
    student, teacher = (
        [(scale * maps.clamp(-3, 3)).to(dtype) for maps in draw(shapes, seed)]
        for seed, shapes in enumerate((STUDENT, TEACHER))
    )
    student = [maps.requires_grad_() for maps in student]
    with torch.autocast('cpu', torch.bfloat16):
        value = call(loss, student, teacher)
    assert value.dtype == torch.float32 and value.isfinite()
    actual = gradients(value, *student, *loss.parameters())
    assert all(gradient.isfinite().all() for gradient in actual)


@pytest.mark.parametrize('learned_early', [False, True])
def test_does_not_wait_for_the_device(learned_early):
    """A fake tensor has no value to wait for: reading one raises."""
    loss = build()
    drawn = [draw(shapes, dtype=torch.float32) for shapes in (STUDENT, TEACHER)]
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        student, teacher = (list(map(mode.from_tensor, side)) for side in drawn)
        student = [maps.requires_grad_() for maps in student]
        if learned_early:
            loss._learned = {
                level: loss.part(level, student[level], teacher[level])
                for level in range(3)
            }
        loss(student, teacher).backward()
    assert all(maps.grad is not None for maps in student)


def test_one_part_without_attention_is_fitnet():
    """And the cross-entropy, with the gradient of all of the student."""
    on = STAGES[1]
    by_parts = lakd(on, attention_weight=0, local_weight=0.7)
    fitnet = distiller(dict(loss_fitnet=dict(type='FitNetLoss', on=on, weight=0.7)))
    fitnet.student.load_state_dict(by_parts.student.state_dict())
    fitnet.teachers['teacher'].model.load_state_dict(
        by_parts.teachers['teacher'].model.state_dict()
    )
    (adapter,) = by_parts.distill['loss_lakd'].loss.adapters
    fitnet.distill['loss_fitnet'].adapters[0].load_state_dict(adapter.state_dict())
    totals = []
    for model in (by_parts, fitnet):
        total, _ = model.parse_losses(losses_of(model, torch.float64))
        total.backward()
        totals.append(total.item())
    assert totals[0] == pytest.approx(totals[1], rel=1e-12)
    pairs = zip(by_parts.student.named_parameters(), fitnet.student.parameters())
    for (name, parameter), reference in pairs:
        assert parameter.grad.any(), name
        torch.testing.assert_close(
            parameter.grad, reference.grad, rtol=1e-10, atol=1e-14
        )


FIRST, SECOND = 'backbone.stages.0', 'backbone.stages.1'
LAYERS = ['backbone.layers.0', 'backbone.layers.1']


@pytest.mark.parametrize(
    'student, teacher, on',
    [
        (swin, vit, dict(student=[FIRST, SECOND], teacher=LAYERS)),
        (vit, swin, dict(student=LAYERS, teacher=[FIRST, SECOND])),
        (swin, lambda: BIG, dict(student=[FIRST, SECOND], teacher=STAGES[1:])),
        (lambda: SMALL, vit, dict(student=STAGES[1:], teacher=LAYERS)),
    ],
    ids=['Swin of ViT', 'ViT of Swin', 'Swin of CNN', 'CNN of ViT'],
)
def test_tokens_are_taken_as_maps_and_cut(student, teacher, on):
    entry = dict(type='LAKDLoss', on=on)
    model = distiller(dict(loss_lakd=entry), student(), teacher())
    losses = losses_of(model)
    assert losses['loss_lakd'] > 0
    student = dict(model.student.named_parameters())
    # Swin runs a stage's downsampling behind it.
    first = [
        parameter
        for name, parameter in student.items()
        if name.startswith(on['student'][0]) and 'downsample' not in name
    ]
    behind = list(model.student.get_submodule(on['student'][1]).parameters())
    losses['loss_student'].backward(retain_graph=True)
    assert first and all(parameter.grad is None for parameter in first)
    assert all(parameter.grad is not None for parameter in behind)
    model.zero_grad()
    losses['loss_lakd'].backward()
    own = [*first, *behind, *model.distill.parameters()]
    assert all(parameter.grad is not None for parameter in own)
    assert any(parameter.grad.any() for parameter in first)


class TestInATraining:
    def test_the_log_has_both_terms(self):
        model = lakd(weight=0.3)
        log = model.train_step(classification_batch(), build_optim_wrapper(model, SGD))
        attention, local = log['attention_lakd'], log['local_lakd']
        assert attention > 0 and local > 0
        torch.testing.assert_close(0.3 * (attention + local), log['loss_lakd'])
        total = log['loss_student'] + log['loss_lakd']
        torch.testing.assert_close(log['loss'], total)

    def test_terms_of_the_log_are_weighted_and_summed_over_parts(self):
        shapes = STUDENT[:2], TEACHER[:2]
        sides = draw(shapes[0]), draw(shapes[1], seed=1)
        loss = build(*shapes, attention_weight=0.7, local_weight=0.2).double()
        value = call(loss, *sides)
        assert not any(part.requires_grad for part in loss.parts.values())
        expected = {}
        for name in ('attention', 'local'):
            weights = dict(attention_weight=0, local_weight=0)
            weights[f'{name}_weight'] = getattr(loss, f'{name}_weight')
            only = build(*shapes, **weights).double()
            expected[name] = call(only, *sides).detach()
        torch.testing.assert_close(loss.parts, expected)
        torch.testing.assert_close(sum(loss.parts.values()), value.detach())

    def test_is_resumed_and_absent_from_the_student(self):
        model = lakd()
        wrapper = build_optim_wrapper(model, SGD)
        for seed in range(2):
            model.train_step(classification_batch(seed=seed), wrapper)
        state = copy.deepcopy(model.state_dict())
        students = {key for key in state if not key.startswith('distill.')}
        assert students == set(distiller({}).student.state_dict())
        assert len(state) > len(students)
        resumed = lakd()
        resumed.load_state_dict(state)
        logs = [
            twin.train_step(
                classification_batch(seed=2), build_optim_wrapper(twin, SGD)
            )
            for twin in (model, resumed)
        ]
        assert logs[0] == logs[1]
        assert all(map(torch.equal, model.parameters(), resumed.parameters()))

    def test_a_copy_learns_for_itself(self):
        model = lakd()
        copied = copy.deepcopy(model)
        losses_of(copied)['loss_lakd'].backward()
        assert all(parameter.grad is None for parameter in model.parameters())
        assert copied.student.backbone.stem[0].weight.grad.any()


class TestErrors:
    @pytest.mark.parametrize(
        'kwargs, message',
        [
            (dict(attention_weight=-1), 'attention_weight must be .* at least 0'),
            (dict(local_weight=float('nan')), 'local_weight must be .* at least 0'),
            (dict(average=-0.1), 'average must be .* at least 0, got -0.1'),
            (dict(maximum='1'), "maximum must be .* at least 0, got '1'"),
            (dict(average=0, maximum=0), 'average and maximum are both 0'),
            (dict(pool_size=0), 'pool_size must be a whole number of at least 1'),
            (dict(pool_size=2.0), 'pool_size must be a whole number of at least 1'),
        ],
    )
    def test_wrong_arguments(self, kwargs, message):
        with pytest.raises(ConfigError, match=f'^LAKDLoss: {message}'):
            LAKDLoss(**kwargs)

    def test_rows_are_no_maps(self):
        with pytest.raises(
            ConfigError,
            match=r'^loss_lakd \(LAKDLoss on backbone.layer1, neck\): needs maps '
            r'\(N, C, H, W\) or tokens \(N, L, C\), got shape \(2, 12\)',
        ):
            lakd([STAGES[0], 'neck'])

    def test_tokens_of_no_square(self):
        entry = dict(type='LAKDLoss', on=dict(student=FIRST, teacher=STAGES[1]))
        with pytest.raises(ConfigError, match=r'^loss_lakd \(.*fill no square'):
            distiller(dict(loss_lakd=entry), swin(), BIG, size=(32, 64))

    def test_modules_with_several_maps(self):
        both = copy.deepcopy([SMALL, BIG])
        for config in both:
            config['backbone']['out_indices'] = (0, 1, 2)
        entry = dict(type='LAKDLoss', on='backbone')
        with pytest.raises(
            ConfigError, match=r'^loss_lakd .*: 1 modules put out 3 maps'
        ):
            distiller(dict(loss_lakd=entry), *both)
