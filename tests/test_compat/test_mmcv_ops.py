"""mmcv.ops on mmcv-lite against references that are not mmkd's."""

import mmcv.ops
import numpy as np
import pytest
import torch
import torchvision
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttnFunction,
    multi_scale_deformable_attn_pytorch,
)

from mmkd.compat import mmcv_ext

pytestmark = pytest.mark.skipif(
    not mmcv_ext.in_use(), reason='the compiled mmcv is installed'
)


def random_boxes(count, seed=0, size=20):
    """Whole-numbered boxes and few distinct scores: ties and exact overlaps."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, size, (count, 2), generator=generator).float()
    extent = torch.randint(1, size, (count, 2), generator=generator).float()
    scores = torch.randint(1, 8, (count,), generator=generator).float() / 8
    return torch.cat([corner, corner + extent], dim=1), scores


def iou(a, b, offset):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + offset)
    areas = [(c[2] - c[0] + offset) * (c[3] - c[1] + offset) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


def greedy_nms(boxes, scores, threshold, offset=0):
    boxes, scores = boxes.tolist(), scores.tolist()
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(iou(boxes[i], boxes[j], offset) <= threshold for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize('offset', [0, 1])
def test_nms(offset):
    boxes, scores = random_boxes(60)
    dets, kept = mmcv.ops.nms(boxes, scores, 0.5, offset=offset)
    assert kept.tolist() == greedy_nms(boxes, scores, 0.5, offset)
    assert 1 < len(kept) < 60
    torch.testing.assert_close(dets, torch.cat([boxes, scores[:, None]], 1)[kept])


def test_nms_offset_matters():
    boxes, scores = random_boxes(60)
    assert greedy_nms(boxes, scores, 0.5, 0) != greedy_nms(boxes, scores, 0.5, 1)


def test_nms_score_threshold_and_max_num():
    boxes, scores = random_boxes(60)
    above = (scores > 0.5).nonzero().squeeze(1)
    expected = above[greedy_nms(boxes[above], scores[above], 0.5)][:4]
    _, kept = mmcv.ops.nms(boxes, scores, 0.5, score_threshold=0.5, max_num=4)
    assert kept.tolist() == expected.tolist()


def test_nms_of_nothing():
    boxes, scores = random_boxes(5)
    assert mmcv.ops.nms(boxes[:0], scores[:0], 0.5)[1].tolist() == []
    assert mmcv.ops.nms(boxes, scores, 0.5, score_threshold=2)[0].shape == (0, 5)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_nms_in_half_precision(dtype):
    boxes, scores = random_boxes(60)
    _, kept = mmcv.ops.nms(boxes.to(dtype), scores, 0.5, offset=1)
    assert kept.tolist() == greedy_nms(boxes, scores, 0.5, 1)
    assert mmcv.ops.nms(boxes, scores.to(dtype), 0.5)[0].dtype == torch.float32


@pytest.mark.parametrize('split_thr', [10000, 10])
def test_batched_nms_keeps_classes_apart(split_thr):
    boxes, scores = random_boxes(60)
    classes = torch.arange(60) % 3
    expected = [
        (classes == c)
        .nonzero()
        .squeeze(1)[greedy_nms(boxes[classes == c], scores[classes == c], 0.5)]
        for c in range(3)
    ]
    config = dict(type='nms', iou_threshold=0.5, split_thr=split_thr)
    dets, kept = mmcv.ops.batched_nms(boxes, scores, classes, config)
    assert sorted(kept.tolist()) == sorted(torch.cat(expected).tolist())
    assert (dets[:-1, 4] >= dets[1:, 4]).all()
    _, first = mmcv.ops.batched_nms(boxes, scores, classes, dict(config, max_num=5))
    assert len(first) == 5
    assert first.tolist() == kept[:5].tolist()


def test_batched_nms_class_agnostic():
    boxes, scores = random_boxes(60)
    config = dict(type='nms', iou_threshold=0.5, class_agnostic=True)
    _, kept = mmcv.ops.batched_nms(boxes, scores, torch.arange(60) % 3, config)
    assert kept.tolist() == greedy_nms(boxes, scores, 0.5)
    empty = mmcv.ops.batched_nms(boxes[:0], scores[:0], torch.arange(0), config)
    assert empty[0].shape == (0, 5)


def slow_soft_nms(boxes, scores, threshold, sigma, min_score, method, offset):
    """One list of rows, swapped and shortened in place."""
    rows = [[*box, s, i] for i, (box, s) in enumerate(zip(boxes, scores))]
    first = 0
    while first < len(rows):
        best = max(range(first, len(rows)), key=lambda k: (rows[k][4], -k))
        rows[first], rows[best] = rows[best], rows[first]
        k = first + 1
        while k < len(rows):
            overlap = iou(rows[first][:4], rows[k][:4], offset)
            if method == 'gaussian':
                rows[k][4] *= np.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                rows[k][4] *= 1 - overlap if method == 'linear' else 0
            if rows[k][4] < min_score:
                rows[k] = rows[-1]
                rows.pop()
            else:
                k += 1
        first += 1
    return [row[:5] for row in rows], [row[5] for row in rows]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_soft_nms(method, offset):
    boxes, scores = (tensor.double() for tensor in random_boxes(80, seed=1))
    options = (0.3, 0.5, 0.05, method, offset)
    expected, order = slow_soft_nms(boxes.tolist(), scores.tolist(), *options)
    dets, kept = mmcv.ops.soft_nms(boxes, scores, *options)
    assert kept.tolist() == order
    assert 1 < len(kept) < 80
    torch.testing.assert_close(dets, torch.tensor(expected, dtype=torch.float64))
    # The input is not touched.
    torch.testing.assert_close(scores, random_boxes(80, seed=1)[1].double())


def test_soft_nms_of_nothing_and_of_empty_boxes():
    boxes, scores = random_boxes(4)
    assert mmcv.ops.soft_nms(boxes[:0], scores[:0])[0].shape == (0, 5)
    points = boxes[:, [0, 1, 0, 1]]
    for method in ('linear', 'gaussian'):
        dets, _ = mmcv.ops.soft_nms(points, scores, method=method)
        assert sorted(dets[:, 4].tolist()) == sorted(scores.tolist())


ROIS = torch.tensor([[0, 1.0, 2.0, 9.0, 12.0], [1, 4.0, 0.0, 30.0, 17.0]])


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_roi_align(aligned, sampling_ratio):
    torch.manual_seed(0)
    feature = torch.randn(2, 3, 10, 16, requires_grad=True)
    weight = torch.randn(2, 3, 4, 5)
    results = []
    for op, mode in (
        (mmcv.ops.roi_align, ('avg', aligned)),
        (torchvision.ops.roi_align, (aligned,)),
    ):
        out = op(feature, ROIS, (4, 5), 0.5, sampling_ratio, *mode)
        results.append((out, *torch.autograd.grad((out * weight).sum(), feature)))
    torch.testing.assert_close(*results)


def test_roi_align_of_a_plane_is_its_value_at_the_bin_centres():
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing='ij')
    plane = (2 * x + 3 * y)[None, None]
    out = mmcv.ops.roi_align(plane, torch.tensor([[0, 2.0, 1.0, 10.0, 9.0]]), 2)
    # Bins of 4 x 4, and pixel centres half a pixel from the edges.
    centre_x, centre_y = torch.tensor([3.5, 7.5]), torch.tensor([2.5, 6.5])
    torch.testing.assert_close(out[0, 0], 2 * centre_x + 3 * centre_y[:, None])


def test_roi_align_gradient():
    torch.manual_seed(0)
    feature = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = ROIS.double()
    assert torch.autograd.gradcheck(
        lambda value: mmcv.ops.roi_align(value, rois, (2, 3), 0.3, 2), feature
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_roi_align_of_mixed_precision(dtype):
    layer = mmcv.ops.RoIAlign((4, 4), spatial_scale=0.5)
    feature = torch.randn(2, 3, 10, 16)
    half = feature.to(dtype).requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = layer(half, ROIS)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), layer(feature, ROIS), atol=0.05, rtol=0.05)
    out.sum().backward()
    assert half.grad.dtype == dtype
    assert half.grad.abs().sum() > 0
    assert layer(feature, ROIS.to(dtype)).dtype == torch.float32


def test_roi_align_without_rois():
    feature = torch.randn(1, 3, 10, 16, requires_grad=True)
    out = mmcv.ops.roi_align(feature, torch.zeros(0, 5), 7)
    assert out.shape == (0, 3, 7, 7)
    out.sum().backward()
    assert not feature.grad.any()


@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_roi_align_of_rois_that_are_not_finite(sampling_ratio, value):
    """torchvision's kernels end the process, read anything, or give 0."""
    feature = torch.randn(2, 3, 10, 16, requires_grad=True)
    rois = ROIS[[0, 0, 1]]
    rois[0, 2:] = value
    out = mmcv.ops.roi_align(feature, rois, 4, 0.5, sampling_ratio)
    assert out[0].isnan().all()
    torch.testing.assert_close(
        out[1:], mmcv.ops.roi_align(feature, ROIS, 4, 0.5, sampling_ratio)
    )
    out.sum().backward()
    assert feature.grad.isfinite().all()


def test_roi_align_has_no_max_mode():
    with pytest.raises(NotImplementedError, match='mmcv>=2.0.1,<2.2'):
        mmcv.ops.roi_align(torch.ones(2, 1, 8, 8), ROIS, 2, 1.0, 0, 'max')


# Three classes, and 3 is the background.
TARGET = torch.tensor([0, 1, 2, 3, 3, 1])


@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (1.5, 0.6), (0.0, 0.5)])
def test_focal_loss(gamma, alpha):
    torch.manual_seed(0)
    logits = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    one_hot = torch.nn.functional.one_hot(TARGET, 4)[:, :3].double()
    out = mmcv.ops.sigmoid_focal_loss(logits, TARGET, gamma, alpha, None, 'none')
    expected = torchvision.ops.sigmoid_focal_loss(logits, one_hot, alpha, gamma)
    torch.testing.assert_close(out, expected)
    weight = torch.randn_like(out)
    torch.testing.assert_close(
        torch.autograd.grad((out * weight).sum(), logits),
        torch.autograd.grad((expected * weight).sum(), logits),
    )


def test_focal_loss_with_class_weights():
    torch.manual_seed(0)
    logits = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    rows = torch.tensor([0.5, 2.0, 3.0, 1.0, 1.0, 2.0])[:, None]
    plain = mmcv.ops.sigmoid_focal_loss(logits, TARGET, 2.0, 0.25, None, 'none')
    out = mmcv.ops.sigmoid_focal_loss(logits, TARGET, 2.0, 0.25, weight, 'none')
    torch.testing.assert_close(out, plain * rows)
    assert torch.autograd.gradcheck(
        lambda value: mmcv.ops.sigmoid_focal_loss(
            value, TARGET, 2.0, 0.25, weight, 'mean'
        ),
        logits,
    )


def test_focal_loss_of_large_logits_and_half_precision():
    logits = torch.tensor([[1e4, -1e4, 20.0]] * 6, requires_grad=True)
    out = mmcv.ops.sigmoid_focal_loss(logits, TARGET, 2.0, 0.25, None, 'none')
    assert out.isfinite().all()
    # Background at a logit of 20: 0.75 * 20, where mmcv's kernel gives 0.75 * 87.
    torch.testing.assert_close(out[3, 2].item(), 15.0)
    out.sum().backward()
    assert logits.grad.isfinite().all()
    half = torch.randn(6, 3).bfloat16()
    loss = mmcv.ops.sigmoid_focal_loss(half, TARGET, 2.0, 0.25, None, 'sum')
    full = mmcv.ops.sigmoid_focal_loss(half.float(), TARGET, 2.0, 0.25, None, 'sum')
    assert loss.dtype == torch.bfloat16
    torch.testing.assert_close(loss.float(), full, atol=0.02, rtol=0.02)


def test_deformable_attention():
    torch.manual_seed(0)
    shapes = torch.tensor([[4, 5], [2, 3]])
    start = torch.tensor([0, 20])
    value = torch.randn(2, 26, 2, 3, dtype=torch.float64)
    locations = torch.rand(2, 7, 2, 2, 4, 2, dtype=torch.float64)
    weights = torch.rand(2, 7, 2, 2, 4, dtype=torch.float64)
    inputs = [t.requires_grad_() for t in (value, locations, weights)]
    out = MultiScaleDeformableAttnFunction.apply(
        value, shapes, start, locations, weights, 64
    )
    expected = multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
    torch.testing.assert_close(out, expected)
    scale = torch.randn_like(out)
    torch.testing.assert_close(
        torch.autograd.grad((out * scale).sum(), inputs),
        torch.autograd.grad((expected * scale).sum(), inputs),
    )
