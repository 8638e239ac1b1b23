"""UniKD against slow ones of its own formulas, and on real networks."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributions import Independent, Normal, kl_divergence

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.parts.adaptive_fusion import AdaptiveFusion
from mmkd.models.losses.parts.distribution_head import (
    LIMIT,
    DistributionHead,
    draw,
    gaussian_divergence,
)
from mmkd.models.losses.unikd_loss import UniKDLoss
from mmkd.testing import (
    classification_batch,
    detection_batch,
    toy_detector,
)

#: A classifier: three stages, of which one is not square, pooled feature and logits.
STAGES = [(4, 3, 6, 6), (4, 5, 3, 3), (4, 7, 3, 2), (4, 7), (4, 6)]
STAGE = [(4, 8, 12, 12), (4, 6)]
#: RoI features, class logits and box deltas.
ROIS = [(4, 5, 3, 3), (4, 6), (4, 8)]
TEACHER_ROIS = [(4, 9, 3, 3), (4, 6), (4, 8)]
SIDES = dict(classifier=(STAGES, STAGE), rois=(ROIS, TEACHER_ROIS))


def sample(shapes, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=random, dtype=dtype) for shape in shapes]


def build(student=STAGES, teacher=STAGE, **kwargs):
    torch.manual_seed(0)
    loss = UniKDLoss(**kwargs)
    loss.fit(LossInputs('loss_x', list(student), list(teacher), ['a'], ['b'], None))
    return loss


def call(loss, student, teacher, seed=7):
    torch.manual_seed(seed)  # of the draws
    return loss(student, teacher, [None] * len(student))


class TestGaussianDivergence:
    def test_equals_that_of_torch(self):
        mean_s, logvar_s, mean_t, logvar_t = sample([(5, 7)] * 4)
        value = gaussian_divergence(mean_s, 3 * logvar_s, mean_t, 3 * logvar_t)
        student, teacher = (
            Independent(Normal(mean, (3 * logvar).exp().sqrt()), 1)
            for mean, logvar in ((mean_s, logvar_s), (mean_t, logvar_t))
        )
        expected = kl_divergence(teacher, student)
        assert value.shape == (5,)
        torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-10)

    def test_zero_value_and_gradient_where_both_are_equal(self):
        both = [tensor.requires_grad_() for tensor in sample([(5, 7)] * 2)]
        value = gaussian_divergence(*both, *(tensor.detach() for tensor in both))
        value.sum().backward()
        assert not value.any() and not any(tensor.grad.any() for tensor in both)


class TestDraw:
    def test_no_variance_gives_the_mean(self):
        mean, logvar = sample([(3, 4)])[0], torch.full((3, 4), float('-inf'))
        logvar.requires_grad_()
        drawn = draw(mean, logvar)
        drawn.sum().backward()
        assert torch.equal(drawn, mean) and not logvar.grad.any()

    def test_has_the_mean_and_the_variance(self):
        torch.manual_seed(0)
        drawn = draw(torch.full((200_000, 1), 3.0), torch.full((200_000, 1), 1.4))
        assert drawn.mean().item() == pytest.approx(3.0, abs=0.02)
        assert drawn.var().log().item() == pytest.approx(1.4, abs=0.02)


class TestHead:
    def test_pools_and_predicts_each(self):
        head = DistributionHead(3, [2, 5]).double()
        (maps,) = sample([(4, 3, 2, 5)])
        predicted = head(maps)
        pooled = sum(maps[:, :, i, j] for i in range(2) for j in range(5)) / 10
        for (mean, logvar), to_mean, to_logvar in zip(
            predicted, head.means, head.logvars
        ):
            torch.testing.assert_close(mean, to_mean(pooled))
            torch.testing.assert_close(logvar, to_logvar(pooled))
        assert [mean.shape[1] for mean, _ in predicted] == [2, 5]

    def test_variances_are_bounded(self):
        ((_, logvar),) = DistributionHead(3, [50])(1e6 * torch.randn(4, 3, 2, 2))
        assert logvar.abs().max() == LIMIT


def fusion(shapes=STAGES[:3]):
    torch.manual_seed(0)
    return AdaptiveFusion([shape[1] for shape in shapes], 4, 8).double()


class TestFusion:
    @pytest.mark.parametrize('level', [0, 2])
    def test_forced_gates_pass_one_input(self, level):
        module, maps = fusion(), sample(STAGES[:3])
        own, deeper = (1e4, -1e4) if level == 0 else (-1e4, 1e4)
        for gate in module.gates:
            gate.weight.data.zero_()
            gate.bias.data.copy_(torch.tensor([own, deeper]))
        alone = module.reduce[level](maps[level]).relu()
        for size in ((3, 3), (6, 6))[:level]:
            alone = F.interpolate(alone, size)
        torch.testing.assert_close(module(maps, (6, 6)), module.expand(alone).relu())

    def test_every_level_reaches_the_result(self):
        module, maps = fusion(), sample(STAGES[:3])
        before = module(maps, (6, 6))
        for level in range(3):
            changed = [*maps]
            changed[level] = maps[level] + sample(STAGES[:3], seed=1)[level]
            assert not torch.allclose(module(changed, (6, 6)), before)

    def test_sizes_are_those_of_the_step(self):
        module = fusion()
        for height, width in ((8, 12), (13, 6)):
            shapes = [(2, 3, height, width), (2, 5, 4, 5), (2, 7, 1, 1)]
            assert module(sample(shapes), (9, 7)).shape == (2, 8, 9, 7)


def slow_resize(maps, size):
    rows, columns = (
        [index * old // new for index in range(new)]
        for old, new in zip(maps.shape[2:], size)
    )
    return maps[:, :, rows][:, :, :, columns]


def slow_conv(conv, maps):
    kernel, (height, width) = conv.weight, maps.shape[2:]
    side = kernel.shape[-1]
    padded = F.pad(maps, [side // 2] * 4)
    out = 0
    for row in range(side):
        for column in range(side):
            window = padded[:, :, row : row + height, column : column + width]
            out = out + torch.einsum('oi,nihw->nohw', kernel[:, :, row, column], window)
    return out if conv.bias is None else out + conv.bias[:, None, None]


def slow_fusion(module, maps, size):
    """From the deepest up."""
    below = None
    for level in reversed(range(len(maps))):
        own = slow_conv(module.reduce[level], maps[level]).clamp(min=0)
        if below is not None:
            below = slow_resize(below, own.shape[2:])
            gates = slow_conv(module.gates[level], torch.cat([own, below], dim=1))
            gates = 1 / (1 + (-gates).exp())
            own = gates[:, :1] * own + gates[:, 1:] * below
        below = own
    return slow_conv(module.expand, slow_resize(below, size)).clamp(min=0)


def slow_kd(student, teacher, tau):
    """Of one sample."""
    p, q = ((z / tau).exp() / (z / tau).exp().sum() for z in (student, teacher))
    return tau**2 * sum(b * (b.log() - a.log()) for a, b in zip(p, q))


def slow_parts(loss, student, teacher, seed=7):
    count = len(teacher) - 1
    maps = [level[:, :, None, None] if level.dim() == 2 else level for level in student]
    fused = maps[0]
    if len(student) - count > 1:
        fused = slow_fusion(loss.fusion, maps[:-count], teacher[0].shape[2:])
    torch.manual_seed(seed)
    constraint = agreement = 0
    for index in range(count):
        drawn = []
        gaussians = []
        for maps, head in (
            (fused, loss.student_head),
            (teacher[0], loss.teacher_head),
        ):
            pooled = torch.einsum('nchw->nc', maps) / (maps.size(2) * maps.size(3))
            mean, logvar = (
                torch.einsum('kc,nc->nk', layer.weight, pooled) + layer.bias
                for layer in (head.means[index], head.logvars[index])
            )
            noise = torch.randn(mean.shape, dtype=mean.dtype)
            gaussians.append((mean, logvar))
            drawn.append(mean + logvar.exp().sqrt() * noise)
        logits = student[len(student) - count + index], teacher[1 + index]
        (m_s, v_s), (m_t, v_t) = gaussians
        samples = len(m_s)
        for n in range(samples):
            if loss.constraint == 'sampled':
                term = slow_kd(drawn[0][n], drawn[1][n], loss.tau)
            else:
                ratio = (v_t[n].exp() + (m_t[n] - m_s[n]) ** 2) / v_s[n].exp()
                term = (v_s[n] - v_t[n] - 1 + ratio).sum() / 2
            constraint = constraint + term / samples
            for z, y in zip(drawn, logits):
                agreement = agreement + slow_kd(z[n], y[n], loss.tau) / samples
    return constraint, agreement


@pytest.mark.parametrize('side', SIDES)
@pytest.mark.parametrize('constraint', ['sampled', 'gaussian'])
class TestLoss:
    def test_equals_a_slow_one(self, side, constraint):
        student_shapes, teacher_shapes = SIDES[side]
        arguments = dict(constraint=constraint, tau=1.7, agreement=0.3, mid_channels=4)
        loss = build(student_shapes, teacher_shapes, **arguments).double()
        student, teacher = sample(student_shapes), sample(teacher_shapes, seed=1)
        learned = [*map(torch.Tensor.requires_grad_, student), *loss.parameters()]
        value = call(loss, student, teacher)
        parts = slow_parts(loss, student, teacher)
        expected = parts[0] + 0.3 * parts[1]
        assert value.item() == pytest.approx(expected.item(), rel=1e-10)
        assert loss.parts['constraint'].item() == pytest.approx(parts[0].item())
        assert loss.parts['agreement'].item() == pytest.approx(0.3 * parts[1].item())
        gradients, slow = (torch.autograd.grad(v, learned) for v in (value, expected))
        for gradient, reference in zip(gradients, slow):
            assert gradient.any()
            torch.testing.assert_close(gradient, reference, rtol=1e-8, atol=1e-12)

    def test_without_agreement_the_logits_learn_nothing(self, side, constraint):
        student_shapes, teacher_shapes = SIDES[side]
        loss = build(
            student_shapes, teacher_shapes, constraint=constraint, agreement=0.0
        ).double()
        student = [tensor.requires_grad_() for tensor in sample(student_shapes)]
        value = call(loss, student, sample(teacher_shapes, seed=1))
        value.backward()
        assert value.item() == loss.parts['constraint'].item()
        assert loss.parts['agreement'].item() == 0
        assert not any(
            tensor.grad.any()
            for tensor in student
            if tensor.shape == student_shapes[-1]
        )
        assert all(parameter.grad.any() for parameter in loss.parameters())

    @pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
    def test_finite_for_huge_features_and_in_float32(self, side, constraint, dtype):
        student_shapes, teacher_shapes = SIDES[side]
        loss = build(student_shapes, teacher_shapes, constraint=constraint)
        student, teacher = (
            [tensor.mul(1e4).to(dtype) for tensor in tensors]
            for tensors in (sample(student_shapes), sample(teacher_shapes, seed=1))
        )
        learned = [*map(torch.Tensor.requires_grad_, student), *loss.parameters()]
        with torch.autocast('cpu', torch.bfloat16):
            value = call(loss, student, teacher)
        value.backward()
        assert value.dtype == torch.float32 and value.isfinite()
        for tensor in learned:
            # What is beyond float16 is for the gradient scaler.
            assert tensor.dtype == torch.float16 or tensor.grad.isfinite().all()

    def test_finite_where_all_is_zero(self, side, constraint):
        student_shapes, teacher_shapes = SIDES[side]
        loss = build(student_shapes, teacher_shapes, constraint=constraint)
        student = [torch.zeros(shape, requires_grad=True) for shape in student_shapes]
        value = call(loss, student, [torch.zeros(shape) for shape in teacher_shapes])
        value.backward()
        assert value.isfinite() and all(
            tensor.grad.isfinite().all() for tensor in student
        )

    def test_no_samples_give_a_zero_with_a_gradient_for_all(self, side, constraint):
        student_shapes, teacher_shapes = SIDES[side]
        loss = build(student_shapes, teacher_shapes, constraint=constraint)
        student = [
            torch.zeros(0, *shape[1:], requires_grad=True) for shape in student_shapes
        ]
        value = call(
            loss, student, [torch.zeros(0, *shape[1:]) for shape in teacher_shapes]
        )
        value.backward()
        assert value.item() == 0
        learned = [*student, *loss.parameters()]
        assert all(
            tensor.grad is not None and not tensor.grad.any() for tensor in learned
        )

    def test_waits_for_no_device(self, side, constraint):
        student_shapes, teacher_shapes = SIDES[side]
        loss = build(student_shapes, teacher_shapes, constraint=constraint)
        with FakeTensorMode(allow_non_fake_inputs=True):
            student = [
                torch.zeros(shape, requires_grad=True) for shape in student_shapes
            ]
            loss(student, [torch.zeros(shape) for shape in teacher_shapes]).backward()

    def test_unchanged_by_doubling_the_batch_and_by_the_order_of_samples(
        self, side, constraint, monkeypatch
    ):
        monkeypatch.setattr(torch, 'randn_like', torch.zeros_like)
        student_shapes, teacher_shapes = SIDES[side]
        loss = build(student_shapes, teacher_shapes, constraint=constraint).double()
        student, teacher = sample(student_shapes), sample(teacher_shapes, seed=1)
        once = call(loss, student, teacher).item()
        for change in (lambda maps: torch.cat([maps, maps]), lambda maps: maps.flip(0)):
            changed = call(
                loss, *([*map(change, tensors)] for tensors in (student, teacher))
            )
            assert changed.item() == pytest.approx(once, rel=1e-10)


class TestFit:
    @pytest.mark.parametrize(
        'given, made', [({}, 7), (dict(mid_channels=64), 7), (dict(mid_channels=4), 4)]
    )
    def test_is_no_wider_than_the_students_deepest_level(self, given, made):
        assert build(**given).fusion.expand.in_channels == made

    def test_one_map_is_not_fused(self):
        loss = build(ROIS, TEACHER_ROIS)
        assert loss.fusion is None
        assert len(list(loss.parameters())) == 2 * 2 * 2 * 2

    @pytest.mark.parametrize(
        'student, teacher',
        [
            (STAGES, STAGE[1:]),  # no map of the teacher
            (STAGES, STAGE[:1]),  # no prediction of it
            (STAGES, [STAGE[0], *STAGE]),  # two maps
            (STAGES[-1:], STAGE),  # no map of the student
            (STAGES[-2:], STAGE),  # only pooled
            (STAGES[:3], STAGE),  # no prediction of it
            (ROIS[:2], TEACHER_ROIS),  # one prediction too few
            ([*STAGES[:3], (4, 6, 2)], STAGE),  # logits of cells
        ],
    )
    def test_other_than_maps_and_then_predictions_is_refused(self, student, teacher):
        with pytest.raises(ConfigError, match='^loss_x: UniKD needs one map of the t'):
            build(student, teacher)

    @pytest.mark.parametrize(
        'student, teacher', [([*STAGES[:-1], (4, 9)], STAGE), (ROIS, TEACHER_ROIS[:2])]
    )
    def test_other_columns_are_refused(self, student, teacher):
        with pytest.raises(ConfigError, match=r'loss_x: .* has [89] columns and the'):
            build(student, teacher)

    @pytest.mark.parametrize('side', [0, 1])
    def test_tokens_that_fill_no_square_are_refused(self, side):
        shapes = [[(4, 16, 5), (4, 6)], [(4, 17, 5), (4, 6)]]
        build(*shapes)
        shapes[side][0] = (4, 12, 5)
        with pytest.raises(ConfigError, match=r'loss_x: the 12 tokens of shape \(4, 1'):
            build(*shapes)

    @pytest.mark.parametrize(
        'wrong',
        [
            dict(constraint='closed'),
            dict(tau=0),
            dict(agreement=-1.0),
            dict(mid_channels=0),
        ],
    )
    def test_bad_arguments_are_refused_when_building(self, wrong):
        (name,) = wrong
        with pytest.raises(ConfigError, match=f'UniKDLoss: {name} must be'):
            UniKDLoss(**wrong)


def cifar(depth, widths):
    head = dict(type='LinearClsHead', in_channels=widths[-1], num_classes=10)
    return dict(
        type='mmpretrain.ImageClassifier',
        _scope_='mmpretrain',
        backbone=dict(type='mmkd.CIFARResNet', depth=depth, widths=widths),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(head, topk=(1,), loss=dict(type='CrossEntropyLoss')),
        data_preprocessor=dict(mean=[127.5] * 3, std=[64.0] * 3),
    )


SMALL, BIG = cifar(8, (4, 4, 8, 12)), cifar(14, (4, 6, 12, 24))
ON = dict(
    student=[*(f'backbone.layer{number}' for number in (1, 2, 3)), 'neck', 'head'],
    teacher=['backbone.layer1.preact', 'head'],
)
DKD = dict(type='DKDLoss', on='logits', beta=2.0)
UNIKD = dict(type='UniKDLoss', on=ON)
ON_ROIS = ['roi_head.bbox_roi_extractor', 'roi_head.bbox_head']


def distiller(losses, student=SMALL, teacher=BIG, **kwargs):
    torch.manual_seed(0)
    teacher = dict(config=copy.deepcopy(teacher), allow_untrained=True)
    student, losses = copy.deepcopy((student, losses))
    return Distiller(student, losses, teacher=teacher, **kwargs).train()


def losses_of(model, batch):
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    return model(data['inputs'], data['data_samples'], mode='loss')


def step(model, batch):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optim_wrapper = OptimWrapper(torch.optim.SGD(parameters, lr=0.01))
    return model.train_step(copy.deepcopy(batch), optim_wrapper)


def untaught(module):
    """Names of what a backward pass left without gradient, or with one of zero."""
    return [
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]


class TestInADistiller:
    def test_teaches_the_student_and_both_heads(self):
        model = distiller(dict(loss_unikd=UNIKD), probe_size=(32, 32))
        losses = losses_of(model, classification_batch())
        losses['loss_unikd'].backward()
        assert not untaught(model.student)
        own = model.distill['loss_unikd'].loss
        # Of the maps' 1x1 convolutions ReLU may silence some, not all, channels.
        assert not untaught(own)
        teacher = model.teachers['teacher'].model
        assert all(parameter.grad is None for parameter in teacher.parameters())
        parts = losses['constraint_unikd'] + losses['agreement_unikd']
        assert parts.item() == pytest.approx(losses['loss_unikd'].item())
        assert not parts.requires_grad

    def test_what_it_learns_is_saved_apart_trained_and_dropped_by_the_export(self):
        model = distiller(dict(loss_unikd=UNIKD), probe_size=(32, 32))
        learned = dict(model.distill.named_parameters())
        before = {name: value.detach().clone() for name, value in learned.items()}
        step(model, classification_batch(size=32))
        # Four levels, three gates, one 3x3 convolution; two heads of two layers.
        assert len(learned) == 4 + 3 * 2 + 1 + 2 * 2 * 2
        for name, value in learned.items():
            assert not torch.equal(value, before[name]), name
        state = model.state_dict()
        assert all(f'distill.{name}' in state for name in learned)
        exported = {k: v for k, v in state.items() if not k.startswith('distill.')}
        MODELS.build(copy.deepcopy(SMALL)).load_state_dict(exported, strict=True)

    def test_a_weight_of_zero_leaves_cross_entropy_and_dkd(self):
        with_it = dict(loss_dkd=DKD, loss_unikd=dict(UNIKD, weight=0.0))
        states, totals = [], []
        for losses in (with_it, dict(loss_dkd=DKD)):
            model = distiller(losses, probe_size=(32, 32))
            logged = step(model, classification_batch())
            totals.append(logged['loss'].item())
            states.append(model.student.state_dict())
        assert totals[0] == totals[1]
        for name, value in states[0].items():
            assert torch.equal(value, states[1][name]), name

    def test_faster_rcnn_with_dkd_beside_it_also_without_rois(self):
        losses = dict(
            loss_dkd=dict(type='DKDLoss', on='roi.logits', beta=0.25, tau=1.0),
            loss_unikd=dict(type='UniKDLoss', on=ON_ROIS, agreement=0.1),
        )
        model = distiller(losses, toy_detector(), toy_detector(width=12))
        shapes = model.distill['loss_unikd'].shapes
        assert [student for student, _ in shapes] == [(2, 32, 7, 7), (2, 6), (2, 20)]
        values = losses_of(model, detection_batch())
        assert values['loss_unikd'] > 0 and values['loss_dkd'] > 0
        values['loss_unikd'].backward()
        assert not untaught(model.distill['loss_unikd'])
        assert not untaught(model.student.roi_head.bbox_head)
        assert not untaught(model.student.backbone.layer2)  # the first are frozen
        teacher = model.teachers['teacher'].model
        assert all(parameter.grad is None for parameter in teacher.parameters())
        model.zero_grad()
        model.student.roi_head.bbox_sampler.num = 0
        value = losses_of(model, detection_batch(objects=(0, 0)))['loss_unikd']
        value.backward()
        assert value.item() == 0
        assert all(
            parameter.grad is not None for parameter in model.distill.parameters()
        )

    def test_wrong_modules_are_named(self):
        on = dict(ON, teacher=['head'])
        with pytest.raises(ConfigError, match=r'loss_x \(UniKDLoss on backbone.layer1'):
            distiller(dict(loss_x=dict(UNIKD, on=on)), probe_size=(32, 32))

    def test_tokens_of_transformers(self):
        swin = dict(
            type='SwinTransformer',
            arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
            img_size=32,
            window_size=4,
            out_indices=(1,),
        )
        vit = dict(
            type='VisionTransformer',
            arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=8),
            img_size=32,
            patch_size=8,
        )
        head = dict(SMALL['head'], in_channels=16)
        student = dict(SMALL, backbone=swin, head=head)
        head = dict(type='VisionTransformerClsHead', num_classes=10, in_channels=16)
        teacher = dict(SMALL, backbone=vit, neck=None, head=dict(head, topk=(1,)))
        first, second = 'backbone.stages.0', 'backbone.stages.1'
        pairs = [
            (student, teacher, [first, second], 'backbone.layers.0'),
            (student, BIG, [first, second, 'neck'], 'backbone.layer1.preact'),
            (teacher, student, ['backbone.layers.0', 'backbone.layers.1'], first),
        ]
        for student, teacher, maps, teacher_map in pairs:
            on = dict(student=[*maps, 'head'], teacher=[teacher_map, 'head'])
            losses = dict(loss_unikd=dict(UNIKD, on=on))
            model = distiller(losses, student, teacher, probe_size=(32, 32))
            values = losses_of(model, classification_batch())
            values['loss_unikd'].backward()
            assert values['loss_unikd'] > 0 and not untaught(model.distill)
