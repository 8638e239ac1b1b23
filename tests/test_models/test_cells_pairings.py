"""Logits of cells: what they are, of classifiers and of detectors, and who has none."""

import copy
import functools
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS as ROOT_MODELS
from mmpretrain.models import LinearClsHead
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.pairings import build_pairing
from mmkd.registry import MODELS
from mmkd.testing import classification_batch, detection_batch, toy_detector

CLASSES = 5
HEAD = dict(type='LinearClsHead', topk=(1,), loss=dict(type='CrossEntropyLoss'))


@MODELS.register_module()
class NoBiasHead(LinearClsHead):
    def __init__(self, in_channels, num_classes, **kwargs):
        super().__init__(num_classes, in_channels, **kwargs)
        self.fc = nn.Linear(in_channels, num_classes, bias=False)


def network(channels=12, neck='GlobalAveragePooling', head=HEAD, **more):
    """A classifier whose last map is a quarter of the image."""
    return dict(
        type='mmpretrain.ImageClassifier',
        _scope_='mmpretrain',
        backbone=dict(type='mmkd.CIFARResNet', depth=8, widths=(4, 4, 8, channels)),
        neck=dict(type=neck),
        head=dict(head, in_channels=channels, num_classes=CLASSES),
        data_preprocessor=dict(mean=[127.5] * 3, std=[64.0] * 3, num_classes=CLASSES),
        **more,
    )


def swin():
    return dict(
        network(16),
        backbone=dict(
            type='SwinTransformer',
            arch=dict(embed_dims=4, depths=[2, 2, 2], num_heads=[1, 2, 2]),
            img_size=64,
            out_indices=(2,),
            window_size=4,
            drop_path_rate=0.0,
        ),
    )


def vit():
    return dict(
        network(8),
        backbone=dict(
            type='VisionTransformer',
            arch=dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=16),
            img_size=32,
            patch_size=8,
        ),
        neck=None,
        head=dict(type='VisionTransformerClsHead', in_channels=8, num_classes=CLASSES),
    )


def distiller(on='cells.logits', student=None, teacher=None, size=32, **spec):
    """Build with SDDLoss; ``teacher`` is a config, or arguments of Teacher."""
    teacher = teacher or network(24)
    if 'config' not in teacher:
        teacher = dict(config=teacher, allow_untrained=True)
    torch.manual_seed(0)
    return Distiller(
        student or network(),
        dict(loss_sdd=dict(dict(type='SDDLoss'), on=on, **spec)),
        teacher=teacher,
        probe_size=(size, size),
    ).train()


def images(size=32, n=4):
    return classification_batch(n=n, classes=CLASSES, size=size)


def forward(model, batch, seed=1):
    """Return the losses of a step, and what was compared in it."""
    (term,) = model.terms
    seen = []
    handle = term.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    torch.manual_seed(seed)  # of the sampled RoIs
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    losses = model(**data, mode='loss')
    handle.remove()
    return losses, seen[0]


def networks(model):
    return dict(student=model.student, teacher=model.teachers['teacher'].model)


def first_outputs(model, paths):
    """Record what modules of both networks put out when first called."""
    outputs = dict(student={}, teacher={})
    for role, net in networks(model).items():
        for path in paths:

            def keep(module, args, output, role=role, path=path):
                outputs[role].setdefault(path, output)

            net.get_submodule(path).register_forward_hook(keep)
    return outputs


def optimizer(model):
    return OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9))


def lively_teacher(config, path, seed=0):
    """Save weights under which even a black image has a varied map."""
    torch.manual_seed(seed)
    model = ROOT_MODELS.build(config)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias)
    torch.save(model.state_dict(), path)
    return dict(config=config, checkpoint=str(path))


class ReadsNothing(TorchDispatchMode):
    """Raises where a value would be fetched from the device."""

    waits = (
        torch.ops.aten._local_scalar_dense.default,
        torch.ops.aten.nonzero.default,
        torch.ops.aten.masked_select.default,
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        by_mask = func is torch.ops.aten.index.Tensor and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if func in self.waits or by_mask:
            raise AssertionError(f'{func} waits for the device')
        return func(*args, **(kwargs or {}))


def align_without_reading(model):
    pairing = model.terms[0].pairing
    align = pairing.align

    def strictly(*args):
        with ReadsNothing():
            return align(*args)

    pairing.align = strictly


# Classifiers


def window(cell, scale, size):
    """First and one past the last pixel of a cell, along one side."""
    return math.floor(cell * size / scale), math.ceil((cell + 1) * size / scale)


def slow_means(maps, scale):
    """Means ``(N, C)`` of the cells of a grid, row by row."""
    means = []
    for row in range(scale):
        top, bottom = window(row, scale, maps.size(2))
        for column in range(scale):
            left, right = window(column, scale, maps.size(3))
            total = torch.zeros(maps.shape[:2])
            for y in range(top, bottom):
                for x in range(left, right):
                    total = total + maps[:, :, y, x]
            means.append(total / ((bottom - top) * (right - left)))
    return means


def slow_nested(maps):
    """Means of the grids of 1, 2 and 4, all pooled from that of 4."""
    finest = slow_means(maps, 4)
    quarters = [
        sum(finest[4 * (2 * i + a) + 2 * j + b] for a in (0, 1) for b in (0, 1)) / 4
        for i in (0, 1)
        for j in (0, 1)
    ]
    return [sum(finest) / 16, *quarters, *finest]


def compared(size, **options):
    """Logits of cells, last maps, logits and linear layer of each network."""
    model = distiller(dict(pairing='cells.logits', **options), size=size)
    outputs = first_outputs(model, ['backbone', 'head', 'head.fc'])
    _, aligned = forward(model, images(size))
    for role, net in networks(model).items():
        logits = getattr(aligned, role)[0]
        yield logits, outputs[role]['backbone'][-1], outputs[role]['head'], net.head.fc


def of_all_cells(means, linear):
    return torch.stack([mean @ linear.weight.T + linear.bias for mean in means], dim=2)


def assert_near(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


class TestCells:
    @pytest.mark.parametrize('scales', [(1, 2, 4), [1, 2], [1, 3], [1]])
    @pytest.mark.parametrize('size', [32, 28, 8])  # maps of 8x8, 7x7 and 2x2
    def test_are_classified_means_row_by_row(self, size, scales):
        for logits, maps, whole, linear in compared(size, scales=scales):
            means = [mean for scale in scales for mean in slow_means(maps, scale)]
            assert logits.shape == (4, CLASSES, sum(scale**2 for scale in scales))
            assert torch.equal(logits[:, :, 0], whole)
            assert_near(logits, of_all_cells(means, linear))

    def test_default_is_direct_with_scales_one_two_four(self):
        both = (compared(28), compared(28, scales=[1, 2, 4], pooling='direct'))
        for default, explicit in zip(*both):
            assert torch.equal(default[0], explicit[0])

    @pytest.mark.parametrize('size', [32, 28])
    def test_nested_ones_are_means_of_the_finest(self, size):
        for logits, maps, _, linear in compared(size, pooling='nested'):
            assert_near(logits, of_all_cells(slow_nested(maps), linear))

    def test_nested_and_direct_agree_where_the_map_can_be_cut(self):
        both = compared(32), compared(32, pooling='nested')
        for direct, nested in zip(*both):
            assert_near(direct[0], nested[0])

    def test_and_differ_where_it_cannot(self):
        both = compared(28), compared(28, pooling='nested')
        for direct, nested in zip(*both):
            gap = (direct[0] - nested[0]).abs().amax(dim=(0, 1))
            assert (gap[:5] > 1e-3).all()
            assert_near(direct[0][:, :, 5:], nested[0][:, :, 5:])
            assert (nested[0][:, :, 0] - nested[2]).abs().max() > 1e-3

    @pytest.mark.parametrize('size', [32, 28])
    def test_classified_pixels_have_the_same_means(self, size):
        for logits, maps, _, linear in compared(size):
            pixels = torch.einsum('kc,nchw->nkhw', linear.weight, maps)
            pixels = pixels + linear.bias[:, None, None]
            grids = [F.adaptive_avg_pool2d(pixels, scale) for scale in (1, 2, 4)]
            pooled = torch.cat([grid.flatten(2) for grid in grids], dim=2)
            torch.testing.assert_close(logits, pooled, rtol=1e-5, atol=1e-5)

    def test_have_the_label_of_their_image(self):
        batch = images()
        _, aligned = forward(distiller(), batch)
        labels = torch.cat([sample.gt_label for sample in batch['data_samples']])
        assert torch.equal(aligned.targets[0], labels)

    def test_teach_backbone_and_head_and_nobody_else(self):
        model = distiller()
        losses, aligned = forward(model, images())
        assert aligned.student[0].requires_grad
        assert not aligned.teacher[0].requires_grad
        losses['loss_sdd'].backward()
        for part in (model.student.backbone.stem[0], model.student.head.fc):
            assert part.weight.grad.abs().sum() > 0
        teacher = networks(model)['teacher']
        assert all(parameter.grad is None for parameter in teacher.parameters())

    def test_leave_the_teacher_as_it_is(self):
        model = distiller()
        before = copy.deepcopy(networks(model)['teacher'].state_dict())
        wrapper = optimizer(model)
        for _ in range(3):
            model.train_step(images(), wrapper)
        after = networks(model)['teacher'].state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)

    def test_cells_alone_teach_more_than_the_whole(self):
        """Else a gradient might come by the first cell only."""
        model = distiller()
        _, aligned = forward(model, images())
        aligned.student[0][:, :, 1:].square().sum().backward()
        assert model.student.backbone.stem[0].weight.grad.abs().sum() > 0
        assert model.student.head.fc.weight.grad.abs().sum() > 0

    def test_add_no_keys_to_the_students(self):
        model = distiller()
        model.train_step(images(), optimizer(model))
        stock = ROOT_MODELS.build(network())
        assert list(model.state_dict()) == list(stock.state_dict())
        stock.load_state_dict(model.state_dict(), strict=True)

    @pytest.mark.parametrize('pooling', ['direct', 'nested'])
    def test_do_not_wait_for_the_device(self, pooling):
        model = distiller(dict(pairing='cells.logits', pooling=pooling))
        align_without_reading(model)
        assert forward(model, images())[0]['loss_sdd'] > 0

    def test_parts_are_logged_and_add_up(self):
        losses, _ = forward(distiller(beta=3.0), images(n=16))
        parts = losses['consistent_sdd'], losses['complementary_sdd']
        assert all(part > 0 and not part.requires_grad for part in parts)
        assert losses['loss_sdd'].item() == pytest.approx(sum(parts).item())


@pytest.mark.parametrize(
    'inside',
    [
        dict(type='KDLoss', tau=3.0),
        dict(type='DKDLoss', beta=2.0),
        dict(type='NKDLoss', tau=3.0),
        dict(type='LumiNetLoss', alpha=2.0),
    ],
    ids=lambda inside: inside['type'],
)
def test_scale_one_trains_as_the_loss_inside_bit_for_bit(inside):
    whole = dict(pairing='cells.logits', scales=[1])
    runs = []
    for spec in (dict(on='logits', **inside), dict(on=whole, loss=inside, beta=5.0)):
        model = distiller(**spec)
        wrapper = optimizer(model)
        logs = [model.train_step(images(), wrapper) for _ in range(4)]
        runs.append(([log['loss_sdd'].item() for log in logs], model.state_dict()))
    (plain, weights), (wrapped, wrapped_weights) = runs
    assert plain == wrapped and len(set(plain)) == 4
    assert all(torch.equal(weights[key], wrapped_weights[key]) for key in weights)
    untrained = distiller(on='logits', **inside).state_dict()
    assert not torch.equal(
        weights['backbone.stem.0.weight'], untrained['backbone.stem.0.weight']
    )


class TestNetworks:
    def test_a_head_without_bias(self):
        model = distiller(student=network(head=dict(HEAD, type='mmkd.NoBiasHead')))
        outputs = first_outputs(model, ['backbone'])
        _, aligned = forward(model, images())
        means = torch.stack(slow_means(outputs['student']['backbone'][-1], 4), dim=2)
        wanted = torch.einsum('kc,ncm->nkm', model.student.head.fc.weight, means)
        assert_near(aligned.student[0][:, :, 5:], wanted)

    @pytest.mark.parametrize('teacher', [None, swin()], ids=['of a CNN', 'of Swin'])
    def test_a_swin_transformer_learns(self, teacher):
        model = distiller(student=swin(), teacher=teacher, size=64)
        optimizer = torch.optim.Adam(model.student.parameters(), lr=5e-3)
        batch, values = images(64), []
        for _ in range(8):
            losses, aligned = forward(model, batch)
            assert aligned.student[0].shape == (4, CLASSES, 21)
            optimizer.zero_grad()
            losses['loss_sdd'].backward()
            optimizer.step()
            values.append(losses['loss_sdd'].item())
        assert values[-1] < 0.5 * values[0]

    def test_a_head_of_several_layers_is_refused(self):
        head = dict(HEAD, type='StackedLinearClsHead', mid_channels=[8])
        with pytest.raises(ConfigError) as error:
            distiller(student=network(head=head))
        assert str(error.value) == 'loss_sdd: ' + (
            "on='cells.logits' needs a head of one linear layer, but the "
            'StackedLinearClsHead of the student has head.layers.0.fc (Linear), '
            "head.layers.1.fc (Linear); choose on='logits'."
        )

    def test_a_head_without_layers_is_refused(self):
        head = ROOT_MODELS.build(dict(type='mmpretrain.ClsHead'))
        student = ROOT_MODELS.build(network())
        student.head = head
        with pytest.raises(ConfigError, match='the ClsHead of the student has none;'):
            distiller(student=student)

    @pytest.mark.parametrize('role', ['student', 'teacher'])
    def test_a_vision_transformer_has_no_map(self, role):
        with pytest.raises(ConfigError) as error:
            distiller(**{role: vit()})
        assert str(error.value) == 'loss_sdd: ' + (
            f"on='cells.logits': the head of the {role} does not classify the mean of "
            "the backbone's last map (shape (2, 8)), so cells of it have no logits; "
            'choose a network that averages a map in front of a linear head, or '
            "on='logits'."
        )

    def test_a_vision_transformer_that_averages_its_map_has_one(self):
        student = dict(
            vit(), neck=dict(type='GlobalAveragePooling'), head=dict(network(8)['head'])
        )
        student['backbone']['out_type'] = 'featmap'
        student['backbone']['with_cls_token'] = False
        losses, aligned = forward(distiller(student=student), images())
        assert aligned.student[0].shape == (4, CLASSES, 21)
        losses['loss_sdd'].backward()

    def test_a_network_that_pools_otherwise_is_refused(self, tmp_path):
        teacher = network(24, neck='GeneralizedMeanPooling')
        teacher = lively_teacher(teacher, tmp_path / 'gem.pth')
        with pytest.raises(
            ConfigError, match=r'the head of the teacher does not.*24, 8'
        ):
            distiller(teacher=teacher)

    def test_a_wrapper_without_backbone_is_refused(self):
        class Wrapper(nn.Module):
            def __init__(self):
                super().__init__()
                self.model = nn.Linear(2, 2)
                self.data_preprocessor = nn.Identity()

        with pytest.raises(
            ConfigError, match=r"which the teacher \(Wrapper\) has not; .*on='logits'"
        ):
            build_pairing('cells.logits', ROOT_MODELS.build(network()), Wrapper())

    def test_a_detector_is_refused(self):
        with pytest.raises(ConfigError, match='the student .FasterRCNN. has no clas'):
            distiller(student=network_of(), teacher=network_of(), size=64)


class TestOptions:
    networks = ROOT_MODELS.build(network()), ROOT_MODELS.build(network(24))

    @pytest.mark.parametrize(
        'scales', [[2, 4], [1, 4, 2], [1, 1, 2], [1, 2.0], [True, 2], [0, 1], [], '12']
    )
    def test_scales_ascend_from_one(self, scales):
        with pytest.raises(ConfigError) as error:
            self.build(scales=scales)
        assert str(error.value) == (
            "on='cells.logits': scales must be whole numbers that ascend from 1, such "
            f'as [1, 2, 4], got {scales!r}.'
        )

    def build(self, **options):
        return build_pairing(dict(pairing='cells.logits', **options), *self.networks)

    def test_nested_scales_divide_the_last(self):
        self.build(scales=[1, 2, 3])
        self.build(scales=[1, 2, 6], pooling='nested')
        with pytest.raises(ConfigError) as error:
            self.build(scales=[1, 2, 3], pooling='nested')
        assert str(error.value) == (
            "on='cells.logits': pooling='nested' needs scales that divide the last, "
            'got [1, 2, 3].'
        )

    def test_pooling_is_known(self):
        with pytest.raises(ConfigError, match="pooling must be one of .*got 'max'"):
            self.build(pooling='max')

    @pytest.mark.parametrize(
        'spec, sentence',
        [
            (dict(on='logits'), r'compares logits of cells \(N, K, M\), got shape'),
            (dict(type='KDLoss'), r'compares rows \(N, C\), got shape \(2, 5, 21\)'),
            (dict(loss=dict(type='ATLoss')), 'ATLoss has no value for each sample'),
            (dict(loss=dict(type='DISTLoss')), 'DISTLoss has no value for each'),
            (dict(loss=dict(type='RKDLoss')), 'RKDLoss has no value for each sample'),
        ],
    )
    def test_what_does_not_go_together(self, spec, sentence):
        with pytest.raises(ConfigError, match=sentence):
            distiller(**spec)

    def test_teachers_of_other_classes_are_refused(self):
        teacher = network(24)
        teacher['head']['num_classes'] = 7
        with pytest.raises(
            ConfigError, match='student has 5 columns and the teacher 7'
        ):
            distiller(teacher=teacher)


class TestMixup:
    student = network(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

    def test_is_refused(self):
        with pytest.raises(
            ConfigError, match='SDDLoss needs one label an image.*Mixup'
        ):
            distiller(student=self.student)

    def test_or_the_dominant_class_is_meant(self):
        model = distiller(student=self.student, soft_targets='argmax')
        losses, aligned = forward(model, images())
        assert aligned.targets[0].shape == (4, CLASSES)
        assert losses['loss_sdd'] > 0


class TestHalfPrecision:
    def test_of_the_student(self):
        exact = forward(distiller(), images())[0]['loss_sdd']
        model = distiller()
        with torch.autocast('cpu', torch.bfloat16):
            losses, aligned = forward(model, images())
        value = losses['loss_sdd']
        assert value.dtype == torch.float32
        assert aligned.student[0].dtype == torch.bfloat16
        assert value.item() == pytest.approx(exact.item(), rel=0.05)
        value.backward()
        gradient = model.student.backbone.stem[0].weight.grad
        assert gradient.isfinite().all() and gradient.abs().sum() > 0

    @pytest.mark.parametrize('seed', [10, 17, 22])
    def test_of_the_teacher(self, tmp_path, seed):
        """Whose head is still found to classify the mean."""
        teacher = lively_teacher(network(24), tmp_path / 'teacher.pth', seed)
        exact, aligned = forward(distiller(teacher=teacher), images())
        near = dict(teacher, inference=dict(dtype='bfloat16'))
        model = distiller(teacher=near)
        outputs = first_outputs(model, ['head'])
        losses, moved = forward(model, images())
        assert torch.equal(
            moved.teacher[0][:, :, 0], outputs['teacher']['head'].float()
        )
        gap = (aligned.teacher[0] - moved.teacher[0]).abs().amax(dim=(0, 1))
        assert (gap > 0).all() and gap.max() < 0.03 * aligned.teacher[0].abs().max()
        assert losses['loss_sdd'].item() == pytest.approx(
            exact['loss_sdd'].item(), rel=0.1
        )


# Two-stage detectors

EXTRACTOR, BOX_HEAD = 'roi_head.bbox_roi_extractor', 'roi_head.bbox_head'


@functools.lru_cache
def read_config(kind):
    return toy_detector(kind, CLASSES)


def network_of(kind='faster'):
    return copy.deepcopy(read_config(kind))


def detector(on='roi.cells', kind='faster', student=None, **spec):
    teacher = network_of(kind)  # of other weights
    return distiller(on, student or network_of(kind), teacher, size=96, **spec)


def scene(objects=(3, 2), masks=False):
    return detection_batch(objects=objects, classes=CLASSES, size=96, masks=masks)


def slow_pixel(roi, y, x):
    """Channels at a place between pixels, which the border continues."""
    height, width = roi.shape[1:]
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return (
        (1 - dy) * (1 - dx) * roi[:, top, left]
        + (1 - dy) * dx * roi[:, top, right]
        + dy * (1 - dx) * roi[:, bottom, left]
        + dy * dx * roi[:, bottom, right]
    )


def slow_crop(roi, scale, row, column):
    """A cell of a RoI's map ``(C, H, W)``, as large as the map."""
    channels, height, width = roi.shape
    cell = torch.zeros(channels, height, width)
    for i in range(height):
        for j in range(width):
            # The middle of this pixel, in pixels of the map.
            y = (row * height + i + 0.5) / scale - 0.5
            x = (column * width + j + 0.5) / scale - 0.5
            cell[:, i, j] = slow_pixel(roi, y, x)
    return cell


def stages_of(kind):
    return [f'.{stage}' for stage in range(3)] if kind == 'cascade' else ['']


@pytest.mark.parametrize('kind', ['faster', 'mask', 'cascade'])
def test_cells_of_rois(kind):
    model = detector(kind=kind)
    stages = stages_of(kind)
    paths = [path + stage for stage in stages for path in (EXTRACTOR, BOX_HEAD)]
    outputs = first_outputs(model, paths)
    losses, aligned = forward(model, scene(masks=kind == 'mask'))
    assert len(aligned.student) == len(aligned.teacher) == len(stages)
    for number, stage in enumerate(stages):
        target = aligned.targets[number]
        assert target.max() == CLASSES and (target < CLASSES).any()
        for role, net in networks(model).items():
            logits = getattr(aligned, role)[number]
            maps = outputs[role][EXTRACTOR + stage]
            assert logits.shape == (len(target), CLASSES + 1, 5)
            assert torch.equal(logits[:, :, 0], outputs[role][BOX_HEAD + stage][0])
            head = net.get_submodule(BOX_HEAD + stage)
            for index in (0, 1, len(target) - 1):
                cells = [
                    slow_crop(maps[index].detach(), 2, row, column)
                    for row in (0, 1)
                    for column in (0, 1)
                ]
                wanted = head(torch.stack(cells))[0]
                assert_near(logits[index, :, 1:].T, wanted)
    parts = losses['consistent_sdd'] + losses['complementary_sdd']
    assert losses['loss_sdd'].item() == pytest.approx(parts.item())

    teacher = networks(model)['teacher']
    before = copy.deepcopy(teacher.state_dict())
    sum(logits[:, :, 1:].square().sum() for logits in aligned.student).backward()
    student = model.student
    assert student.backbone.layer2[0].conv1.weight.grad.abs().sum() > 0
    for stage in stages:
        head = student.get_submodule(BOX_HEAD + stage)
        assert head.shared_fcs[0].weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())
    model.train_step(scene(masks=kind == 'mask'), optimizer(model))
    assert all(
        torch.equal(before[key], value) for key, value in teacher.state_dict().items()
    )
    assert list(model.state_dict()) == list(
        ROOT_MODELS.build(network_of(kind)).state_dict()
    )


@pytest.fixture(scope='module')
def recorded():
    """A model, and what its pairing got in a step."""
    model = detector()
    pairing, got = model.terms[0].pairing, []
    align = pairing.align
    pairing.align = lambda *args: got.extend(args) or align(*args)
    outputs = first_outputs(model, [EXTRACTOR])
    forward(model, scene())
    return model, got, outputs['student'][EXTRACTOR].detach()


class TestRoISelection:
    @staticmethod
    def compare(recorded, **options):
        """Of the same step, with other options."""
        model, got, _ = recorded
        on = dict(pairing='roi.cells', **options)
        pairing, _ = build_pairing(on, *networks(model).values())
        return [column[0] for column in pairing.align(*got)[:3]]

    def assert_rows(self, recorded, keep, columns=slice(None), **options):
        everything = self.compare(recorded)
        selected = self.compare(recorded, **options)
        assert 0 < keep.sum() < len(keep)
        assert torch.equal(selected[2], everything[2][keep])
        for logits, of_all in zip(selected[:2], everything[:2]):
            # The matrix product of fewer rows may round in another way.
            assert_near(logits, of_all[keep][:, columns])

    def test_foreground(self, recorded):
        target = self.compare(recorded)[2]
        self.assert_rows(recorded, target < CLASSES, select='fg')

    def test_foreground_without_background(self, recorded):
        keep = self.compare(recorded)[2] < CLASSES
        options = dict(select='fg', background=False)
        self.assert_rows(recorded, keep, slice(CLASSES), **options)

    def test_where_the_teacher_is_sure_of_the_whole(self, recorded):
        teacher = self.compare(recorded)[1]
        sure = teacher[:, :, 0].softmax(1)[:, :CLASSES].amax(1)
        level = sure.median().item()
        options = dict(select='teacher_conf', conf=level)
        self.assert_rows(recorded, sure >= level, **options)

    def test_more_scales(self, recorded):
        student, teacher, target = self.compare(recorded, scales=[1, 2, 3])
        assert student.shape == teacher.shape == (len(target), CLASSES + 1, 14)
        model, _, maps = recorded
        cell = slow_crop(maps[0], 3, 1, 2)  # the last of the second row of three
        wanted = model.student.roi_head.bbox_head(cell[None])[0][0]
        assert_near(student[0, :, 1 + 4 + 3 + 2], wanted)

    def test_labels_of_a_background_that_is_left_out(self):
        with pytest.raises(ConfigError, match="add select='fg'"):
            detector(dict(pairing='roi.cells', background=False))

    def test_cascade_stages(self):
        model = detector(dict(pairing='roi.cells', stages=[2]), 'cascade')
        outputs = first_outputs(model, [f'{BOX_HEAD}.2'])
        _, aligned = forward(model, scene())
        assert len(aligned.student) == 1
        for role in ('student', 'teacher'):
            whole = outputs[role][f'{BOX_HEAD}.2'][0]
            assert torch.equal(getattr(aligned, role)[0][:, :, 0], whole)

    def test_no_object_gives_a_zero_in_the_graph(self):
        model = detector(dict(pairing='roi.cells', select='fg'))
        losses, aligned = forward(model, scene(objects=(0, 0)))
        assert aligned.student[0].shape == (0, CLASSES + 1, 5)
        assert losses['loss_sdd'] == 0
        assert losses['consistent_sdd'] == losses['complementary_sdd'] == 0
        losses['loss_sdd'].backward()
        gradient = model.student.backbone.layer2[0].conv1.weight.grad
        assert gradient is not None and not gradient.any()

    def test_scale_one_is_the_loss_of_the_rois(self):
        whole = dict(pairing='roi.cells', scales=[1])
        values = [
            forward(detector(**spec), scene())[0]['loss_sdd']
            for spec in (dict(on='roi.logits', type='KDLoss'), dict(on=whole))
        ]
        assert values[0] == values[1] > 0


class TestDetectors:
    @pytest.mark.parametrize('on', ['roi.cells', 'roi.logits', 'roi.masks'])
    def test_all_rois_do_not_wait_for_the_device(self, on):
        kind = 'mask' if on == 'roi.masks' else 'faster'
        loss = dict(type='SDDLoss' if on == 'roi.cells' else 'KDLoss')
        model = detector(on, kind, **loss)
        align_without_reading(model)
        assert forward(model, scene(masks=kind == 'mask'))[0]['loss_sdd'] > 0

    def test_half_precision(self):
        model = detector(dict(pairing='roi.cells', select='fg'))
        with torch.autocast('cpu', torch.bfloat16):
            losses, _ = forward(model, scene())
        assert losses['loss_sdd'].dtype == torch.float32
        losses['loss_sdd'].backward()
        assert model.student.backbone.layer2[0].conv1.weight.grad.isfinite().all()

    def test_a_box_head_with_batch_norm_is_refused(self):
        student = network_of()
        student.roi_head.bbox_head.update(
            type='Shared4Conv1FCBBoxHead', norm_cfg=dict(type='BN')
        )
        with pytest.raises(ConfigError) as error:
            detector(student=student)
        assert str(error.value) == 'loss_sdd: ' + (
            "on='roi.cells': the box head of the student has batch norms, whose "
            "statistics cells would change; choose on='roi.logits', or a head with "
            'other norms.'
        )

    def test_a_box_head_with_group_norm_is_not(self):
        student = network_of()
        student.roi_head.bbox_head.update(
            type='Shared4Conv1FCBBoxHead',
            conv_out_channels=8,
            norm_cfg=dict(type='GN', num_groups=4),
        )
        losses, _ = forward(detector(student=student), scene())
        assert losses['loss_sdd'] > 0

    def test_scales_ascend_from_one(self):
        with pytest.raises(ConfigError, match="on='roi.cells': scales must be whole"):
            detector(dict(pairing='roi.cells', scales=[2]))

    def test_a_classifier_is_refused(self):
        with pytest.raises(ConfigError, match='needs a two-stage detector'):
            distiller('roi.cells')
