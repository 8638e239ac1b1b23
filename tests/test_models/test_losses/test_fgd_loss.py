"""FGD: the authors' figures, where objects are, and its four parts."""

import copy
import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.losses import FGDLoss
from mmkd.models.losses.fgd_loss import attention_maps, focal_parts
from mmkd.models.losses.parts.object_masks import object_masks
from mmkd.testing import detection_batch, toy_classifier, toy_detector

SHAPE = (2, 6, 5, 7)
SIZES = [(80, 112)] * 2
BOXES = [[[8.0, 8, 40, 30], [20, 20, 100, 60]], [[70, 10, 90, 70]]]
BOXES = [torch.tensor(boxes, dtype=torch.float64) for boxes in BOXES]
PARTS = ('fg', 'bg', 'attention', 'relation')


def draw(shape=SHAPE, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


def build(shape=SHAPE, **arguments):
    torch.manual_seed(0)
    return FGDLoss(**arguments).fit_to(draw(shape), draw(shape))


def call(loss, student, teacher, boxes=BOXES, sizes=SIZES):
    return loss(student, teacher, boxes=boxes, **{loss.needs[1]: sizes})


def cells(boxes, size=(5, 7), image=(80, 112)):
    """The foreground, and the background, of one image."""
    boxes = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    return (mask[0] for mask in object_masks([boxes], [image], size))


@pytest.mark.golden('fgd')
def test_equals_the_authors_figures(golden):
    """The second case has images of other sizes, and a map of both."""
    params = golden.params
    student, learned = golden.adapted()
    weights = [params[f'{name}_fgd'] for name in ('alpha', 'beta', 'gamma', 'lambda')]
    loss = FGDLoss(params['temp'], *weights, box_scale='released')
    loss.fit_to(student, golden.teacher)
    for side, blocks in (('s', loss.student_context), ('t', loss.teacher_context)):
        of_block = {
            f'conv_mask_{side}.': blocks[0].weigh,
            f'channel_add_conv_{side}.': blocks[0].transform,
        }
        for prefix, module in of_block.items():
            module.load_state_dict(golden.state(prefix))
        learned.update(of_block)
    sizes = params['img_shapes']
    boxes = [
        golden.tensors[f'boxes{image}'] * params['enlarge']
        for image in range(len(sizes))
    ]
    value = call(loss, student, golden.teacher, boxes, sizes)
    golden.check(value, learned)
    parts = {name: loss.parts[name].item() / w for name, w in zip(PARTS, weights)}
    assert parts == pytest.approx(golden.expected['parts'], rel=1e-6)
    masks = object_masks(boxes, sizes, golden.teacher[0].shape[2:])
    extra = golden.expected['extra']
    sums = [mask.sum(dim=(1, 2)).tolist() for mask in masks]
    assert sums[0] == pytest.approx(extra['mask_fg_sum'], rel=1e-12)
    assert sums[1] == pytest.approx(extra['mask_bg_sum'], rel=1e-12)
    assert (masks[0] > 0).sum(dim=(1, 2)).tolist() == extra['mask_fg_cells']


class TestMasks:
    def test_equal_slow_ones(self):
        """Of boxes within, across and beyond the border of their image."""
        size, image = (9, 7), (100, 90)
        boxes = [40 * draw((6, 4), seed).abs() - 20 for seed in range(2)]
        for own in boxes:
            own[:, 2:] = own[:, :2] + own[:, 2:].abs() + 1
        foreground, background = object_masks(boxes, [image] * 2, size)
        wanted = torch.zeros(2, *size, dtype=torch.float64)
        for own, mask in zip(boxes, wanted):
            for x1, y1, x2, y2 in own.tolist():
                left, right = math.floor(x1 / 90 * 7), math.ceil(x2 / 90 * 7)
                top, bottom = math.floor(y1 / 100 * 9), math.ceil(y2 / 100 * 9)
                share = 1 / ((bottom - top + 1) * (right - left + 1))
                for y in range(9):
                    for x in range(7):
                        if left <= x <= right and top <= y <= bottom:
                            mask[y, x] = max(mask[y, x], share)
        torch.testing.assert_close(foreground, wanted, rtol=1e-12, atol=0)
        beside = (wanted == 0).double()
        wanted = beside / beside.sum(dim=(1, 2), keepdim=True)
        torch.testing.assert_close(background, wanted, rtol=1e-12, atol=0)

    def test_a_box_weighs_one_however_large_it_is(self):
        for box in ([20, 20, 30, 30], [1, 1, 60, 40]):
            foreground, background = cells(box)
            assert foreground.sum().item() == pytest.approx(1, rel=1e-12)
            assert background.sum().item() == pytest.approx(1, rel=1e-12)

    def test_boxes_that_overlap_weigh_more_and_the_smaller_one_counts(self):
        small, large = [20, 20, 30, 30], [1, 1, 60, 40]
        foreground, _ = cells([large, small])
        of_small, of_large = (next(cells(box)) for box in (small, large))
        assert torch.equal(foreground, torch.maximum(of_small, of_large))
        assert 1 < foreground.sum() < 2

    def test_a_box_partly_beyond_weighs_less(self):
        for box in ([80, 20, 200, 30], [-60, 20, 30, 30], [20, 60, 30, 80]):
            foreground, _ = cells(box)
            assert 0 < foreground.sum() < 0.99
        foreground, background = cells([200, 200, 250, 220])
        assert not foreground.any()
        assert background.sum().item() == pytest.approx(1, rel=1e-12)

    def test_an_image_without_boxes_is_background(self):
        foreground, background = cells([])
        assert not foreground.any()
        torch.testing.assert_close(background, torch.full_like(background, 1 / 35))

    def test_an_image_full_of_a_box_has_no_background(self):
        foreground, background = cells([-20, -20, 130, 100])
        assert (foreground > 0).all() and not background.any()

    def test_boxes_on_the_edge_of_a_cell_begin_and_end_there(self):
        """Of float32, and sizes in which a share of the image is no exact number."""
        width = 49
        for left in range(width):
            box = torch.tensor([[left * 24.0, 0, left * 24.0, 0]])
            foreground, _ = object_masks([box], [(24, width * 24)], (1, width))
            assert foreground[0, 0].nonzero().flatten().tolist() == [left]

    def test_padding_stretches_the_boxes_of_the_released_code_only(self):
        """The batch is as large again as the image, to the right of which it ends."""
        loss = {scale: build(box_scale=scale) for scale in ('padded', 'released')}
        assert loss['padded'].needs == ('boxes', 'padded_shape')
        assert loss['released'].needs == ('boxes', 'image_shape')
        box = [[0.0, 0, 30, 30]]
        right, _ = cells(box)
        stretched, _ = cells(box, image=(80, 56))
        assert right.nonzero().max(dim=0)[0].tolist() == [2, 2]
        assert stretched.nonzero().max(dim=0)[0].tolist() == [2, 4]


class TestParts:
    def test_equal_slow_ones(self):
        student, teacher, tau = draw(), draw(seed=1), 0.8
        masks = object_masks(BOXES, SIZES, SHAPE[2:])
        wanted = dict(fg=0.0, bg=0.0, attention=0.0)
        for n in range(2):
            pixels, channels = [], []
            for side in (student, teacher):
                strength = (side[n].abs().sum(dim=0) / 6 / tau).exp()
                pixels.append(35 * strength / strength.sum())
                strength = (side[n].abs().sum(dim=(1, 2)) / 35 / tau).exp()
                channels.append(6 * strength / strength.sum())
            wanted['attention'] += (pixels[0] - pixels[1]).abs().sum().item() / 2
            wanted['attention'] += (channels[0] - channels[1]).abs().sum().item() / 2
            for c in range(6):
                error = (student[n, c] - teacher[n, c]).square()
                error = error * pixels[1] * channels[1][c]
                for name, mask in zip(('fg', 'bg'), masks):
                    wanted[name] += (mask[n] * error).sum().item() / 2
        values = focal_parts(student, teacher, *masks, tau)
        assert [value.item() for value in values] == pytest.approx(
            list(wanted.values()), rel=1e-10
        )

    def test_attention_is_one_on_average(self):
        for attention in attention_maps(3 * draw(), 0.5):
            assert attention.mean().item() == pytest.approx(1, rel=1e-12)

    def test_the_weights_are_the_teachers_attention(self):
        """What is foreground to the student alone moves nothing."""
        student, teacher = draw(), draw(seed=1)
        masks = object_masks(BOXES, SIZES, SHAPE[2:])
        shifted = 2 * teacher - student  # the same error, another attention
        for first, second in zip(
            focal_parts(student, teacher, *masks)[:2],
            focal_parts(shifted, teacher, *masks)[:2],
        ):
            assert first.item() == pytest.approx(second.item(), rel=1e-12)

    def test_they_are_sums_over_channels_so_weights_belong_to_one_width(self):
        student, teacher = draw(), draw(seed=1)
        masks = object_masks(BOXES, SIZES, SHAPE[2:])
        wide = [torch.cat([side, side], dim=1) for side in (student, teacher)]
        values = zip(
            focal_parts(student, teacher, *masks)[:2], focal_parts(*wide, *masks)[:2]
        )
        for narrow, twice in values:
            assert twice.item() == pytest.approx(2 * narrow.item(), rel=1e-12)

    def test_are_means_over_images(self):
        loss, sides = build(), (draw(), draw(seed=1))
        once = call(loss, *sides).item()
        more = [torch.cat([side, side]) for side in sides]
        twice = call(loss, *more, BOXES * 2, SIZES * 2).item()
        assert twice == pytest.approx(once, rel=1e-12)

    def test_each_has_its_weight(self):
        sides = draw(), draw(seed=1)
        call(loss := build(), *sides)
        for position, name in enumerate(('alpha', 'beta', 'gamma', 'lambda_')):
            weights = dict.fromkeys(('alpha', 'beta', 'gamma', 'lambda_'), 0.0)
            alone = build(**dict(weights, **{name: 1.0}))
            part = PARTS[position]
            wanted = loss.parts[part].item() / loss.weights[part]
            assert call(alone, *sides).item() == pytest.approx(wanted, rel=1e-12)

    def test_images_without_boxes_have_background_only(self):
        loss = build()
        empty = [torch.zeros(0, 4)] * 2
        student = draw().requires_grad_()
        value = call(loss, student, draw(seed=1), empty)
        value.backward()
        assert loss.parts['fg'] == 0 < loss.parts['bg']
        assert value.isfinite() and student.grad.isfinite().all()


class TestContexts:
    def test_at_first_the_relation_is_the_squared_error(self):
        loss = build(lambda_=3e-6)
        student, teacher = draw(), draw(seed=1)
        call(loss, student, teacher)
        wanted = 3e-6 * (student - teacher).square().sum().item() / 2
        assert loss.parts['relation'].item() == pytest.approx(wanted, rel=1e-12)

    def test_equal_sides_with_equal_contexts_are_zero(self):
        loss = build()
        maps = draw()
        torch.nn.init.normal_(loss.student_context[0].transform[3].weight)
        state = loss.student_context.state_dict()
        loss.teacher_context.load_state_dict(state)
        assert call(loss, maps, maps) == 0

    def test_equal_sides_with_contexts_of_their_own_leave_the_relation(self):
        loss = build()
        maps = draw()
        torch.nn.init.normal_(loss.student_context[0].transform[3].weight)
        value = call(loss, maps, maps)
        gap = loss.student_context[0](maps) - loss.teacher_context[0](maps)
        wanted = 5e-6 * gap.square().sum().item() / 2
        assert value.item() == pytest.approx(wanted, rel=1e-12) and wanted > 0
        assert value == loss.parts['relation']

    def test_both_are_trained_and_the_teacher_is_not(self):
        loss = build()
        student, teacher = draw().requires_grad_(), draw(seed=1).requires_grad_()
        call(loss, student, teacher).backward()
        assert teacher.grad is None and student.grad.any()
        for blocks in (loss.student_context, loss.teacher_context):
            assert blocks[0].transform[3].weight.grad.any()

    @pytest.mark.parametrize('channels', [1, 2, 3])
    def test_few_channels_have_a_context_too(self, channels):
        shape = (2, channels, 5, 7)
        loss = build(shape)
        assert call(loss, draw(shape), draw(shape, seed=1)).isfinite()


def test_each_level_has_its_contexts_and_levels_are_summed():
    shapes = [SHAPE, (2, 4, 3, 4)]
    levels = [[draw(shape, seed) for shape in shapes] for seed in range(2)]
    loss = FGDLoss().fit_to(*levels)
    assert len(loss.student_context) == len(loss.teacher_context) == 2
    value = call(loss, *levels).item()
    parts = dict(loss.parts)
    pairs = [(build(shape), *pair) for shape, *pair in zip(shapes, *levels)]
    assert value == pytest.approx(sum(call(*pair).item() for pair in pairs), rel=1e-12)
    assert parts['bg'].item() == pytest.approx(
        sum(pair[0].parts['bg'].item() for pair in pairs), rel=1e-12
    )


@pytest.mark.parametrize(
    'boxes, sizes',
    [
        (BOXES[:1], SIZES),
        (BOXES * 2, SIZES),
        (BOXES, SIZES[:1]),
        ([BOXES[0], BOXES[1][:, :3]], SIZES),
        ([BOXES[0], BOXES[1][0]], SIZES),
        ([BOXES[0], [[70, 10, 90, 70]]], SIZES),
        (BOXES, [(80, 112), (80, 0)]),
        (BOXES, [(80, 112, 3), (80, 112, 3)]),
        (BOXES, (80, 112)),
        (BOXES, [('80', '112'), ('80', '112')]),
        (BOXES, [(80, 112), (None, None)]),
        (torch.zeros(2, 4), SIZES),
        (5, SIZES),
    ],
)
def test_boxes_and_sizes_that_are_not_of_the_images(boxes, sizes):
    with pytest.raises(ConfigError, match='^FGDLoss: boxes must be a tensor .G, 4.'):
        call(build(), draw(), draw(seed=1), boxes, sizes)


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (dict(tau=0), 'tau must be a number above 0'),
        (dict(alpha=-1.0), 'alpha must be a number of at least 0'),
        (dict(lambda_='1'), 'lambda_ must be a number of at least 0'),
        (dict(alpha=0, beta=0, gamma=0, lambda_=0), 'are all 0, so there is nothing'),
        (dict(box_scale='image'), "box_scale must be one of .*'padded', 'released'"),
    ],
)
def test_bad_arguments(arguments, sentence):
    with pytest.raises(ConfigError, match=f'FGDLoss: .*{sentence}'):
        FGDLoss(**arguments)


def distiller(**more):
    torch.manual_seed(0)
    losses = dict(loss_fgd=dict(type='FGDLoss', on='neck', **more))
    teacher = dict(config=toy_detector(width=12), allow_untrained=True)
    return Distiller(toy_detector(), losses, teacher=teacher, probe_size=64).train()


class TestInADistiller:
    def test_what_it_learns_is_saved_apart_trained_and_dropped_by_the_export(self):
        model = distiller(lambda_=5e-3)
        learned = dict(model.distill.named_parameters())
        assert len(learned) == 2 * 5 * 8  # sides, levels, and tensors of a block
        before = {name: value.detach().clone() for name, value in learned.items()}
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
        for _ in range(2):  # what lies in front of a zero begins with the second
            log = model.train_step(copy.deepcopy(detection_batch()), wrapper)
        parts = [log[f'{name}_fgd'].item() for name in PARTS]
        assert min(parts) > 0
        assert log['loss_fgd'].item() == pytest.approx(sum(parts), rel=1e-5)
        for name, value in learned.items():
            # No bias moves the softmax behind it.
            moved = not torch.equal(value, before[name])
            assert moved or name.endswith('weigh.bias'), name
        state = model.state_dict()
        assert all(f'distill.{name}' in state for name in learned)
        exported = {k: v for k, v in state.items() if not k.startswith('distill.')}
        MODELS.build(toy_detector()).load_state_dict(exported, strict=True)

    def test_boxes_lie_in_the_padded_batch_or_in_their_image(self):
        """The second image is lower by 16 than the batch."""
        values = []
        for scale in ('padded', 'released'):
            model = distiller(box_scale=scale)
            data = model.data_preprocessor(detection_batch((0, 3)), True)
            values.append(model(**data, mode='loss')['fg_fgd'].item())
        assert values[0] != values[1] and min(values) > 0

    def test_a_classifier_is_refused_when_it_is_built(self):
        teacher = dict(config=toy_classifier(), allow_untrained=True)
        losses = dict(loss_fgd=dict(type='FGDLoss', on='backbone.layer2'))
        with pytest.raises(ConfigError, match='^loss_fgd needs .* the true boxes'):
            Distiller(toy_classifier(), losses, teacher=teacher, probe_size=32)
