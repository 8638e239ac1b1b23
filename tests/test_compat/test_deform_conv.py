"""mmcv's deformable convolutions on mmcv-lite against a slow one of plain PyTorch."""

import mmcv._ext as ext
import mmcv.ops
import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from mmkd.compat import mmcv_ext

pytestmark = pytest.mark.skipif(
    not mmcv_ext.in_use(), reason='the compiled mmcv is installed'
)


def hats(position, size):
    """How much of each of ``size`` pixels a sample at ``position`` takes, last."""
    pixels = torch.arange(size)
    low = position.detach().floor()[..., None]
    rest = position[..., None] - low
    parts = (pixels == low) * (1 - rest) + (pixels == low + 1) * rest
    return parts * (position > -1)[..., None]


def reference(image, offset, weight, mask, bias, geometry):
    (n, _, height, width), (_, _, kh, kw) = image.shape, weight.shape
    stride, padding, dilation, groups, deform_groups = geometry
    out = offset.shape[2:]
    y, x = (
        torch.arange(out[i])[:, None] * stride[i]
        - padding[i]
        + torch.arange(weight.size(2 + i)) * dilation[i]
        for i in (0, 1)
    )
    # Image, deformable group, tap in height and width, row, column.
    offset = offset.reshape(n, deform_groups, kh, kw, 2, *out)
    y = y.T[:, None, :, None] + offset[:, :, :, :, 0]
    x = x.T[None, :, None] + offset[:, :, :, :, 1]
    image = image.view(n, deform_groups, -1, height, width)
    samples = torch.einsum(
        'ngijrch,ngijrcw,ngahw->ngaijrc', hats(y, height), hats(x, width), image
    )
    if mask is not None:
        samples = samples * mask.view(n, deform_groups, 1, kh, kw, *out)
    samples = samples.reshape(n, groups, -1, kh, kw, *out)
    kernels = weight.view(groups, -1, *weight.shape[1:])
    out = torch.einsum('ngaijrc,gbaij->ngbrc', samples, kernels).flatten(1, 2)
    return out if bias is None else out + bias[:, None, None]


def convolve(x, offset, weight, mask, bias, geometry, im2col_step=32):
    if mask is None:
        return mmcv.ops.deform_conv2d(x, offset, weight, *geometry, False, im2col_step)
    return mmcv.ops.modulated_deform_conv2d(x, offset, mask, weight, bias, *geometry)


def made_up(kind, geometry, kernel=(3, 3), images=2, reach=2.0):
    """Leaves x, offset, weight, mask, bias, of which those of the kind are not None."""
    torch.manual_seed(0)
    stride, padding, dilation, groups, deform_groups = geometry
    x = torch.randn(images, 4, 7, 9, dtype=torch.float64)
    weight = torch.randn(6, 4 // groups, *kernel, dtype=torch.float64)
    size = F.conv2d(x, weight, None, stride, padding, dilation, groups).shape[2:]
    taps = deform_groups * weight[0, 0].numel()
    offset = reach * torch.randn(images, 2 * taps, *size, dtype=torch.float64)
    mask = torch.rand(images, taps, *size, dtype=torch.float64)
    bias = torch.randn(6, dtype=torch.float64)
    mask = None if kind == 'plain' else mask
    bias = bias if kind == 'bias' else None
    return [
        t if t is None else t.requires_grad_() for t in (x, offset, weight, mask, bias)
    ]


def gradients(out, leaves):
    torch.manual_seed(1)
    leaves = [leaf for leaf in leaves if leaf is not None]
    # Whole numbers, which half precision holds.
    scale = torch.randint(-4, 5, out.shape)
    return torch.autograd.grad((out * scale).sum(), leaves)


PLAIN = ((1, 1), (1, 1), (1, 1), 1, 1)
#: The same for the operators, with a kernel of 3.
STEPS = dict.fromkeys(
    ('dW', 'dH', 'padW', 'padH', 'dilationW', 'dilationH', 'group', 'deformable_group'),
    1,
)
STEPS.update(kW=3, kH=3, im2col_step=2)


@pytest.mark.parametrize('kind', ['plain', 'modulated', 'bias'])
@pytest.mark.parametrize(
    'geometry, kernel',
    [
        (PLAIN, (3, 3)),
        (((2, 1), (0, 2), (1, 2), 1, 1), (3, 2)),
        (((1, 2), (2, 1), (2, 1), 2, 1), (1, 3)),
        (((1, 1), (1, 0), (1, 1), 1, 2), (3, 3)),
        (((2, 2), (1, 1), (1, 1), 2, 4), (3, 1)),
    ],
)
def test_output_and_all_gradients(kind, geometry, kernel):
    leaves = made_up(kind, geometry, kernel)
    out, expected = convolve(*leaves, geometry), reference(*leaves, geometry)
    torch.testing.assert_close(out, expected)
    for grad, other in zip(gradients(out, leaves), gradients(expected, leaves)):
        assert grad.any()
        torch.testing.assert_close(grad, other)


@pytest.mark.parametrize('kind', ['plain', 'modulated'])
@pytest.mark.parametrize('reach', [0, 3])
def test_whole_pixels_have_mmcvs_slopes(kind, reach):
    """At -1 that from outside, elsewhere that from the right: at all first offsets."""
    leaves = made_up(kind, PLAIN, reach=reach)
    with torch.no_grad():
        leaves[1].round_()
    out, expected = convolve(*leaves, PLAIN), reference(*leaves, PLAIN)
    torch.testing.assert_close(out, expected)
    for grad, other in zip(gradients(out, leaves), gradients(expected, leaves)):
        torch.testing.assert_close(grad, other)


def test_offsets_are_y_before_x():
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing='ij')
    plane = (10 * y + x)[None, None]
    offset = torch.tensor([0.25, 0.5]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    out = mmcv.ops.deform_conv2d(plane, offset.contiguous(), torch.ones(1, 1, 1, 1))
    torch.testing.assert_close(out[..., :-1, :-1], plane[..., :-1, :-1] + 2.5 + 0.5)


def test_without_offsets_it_is_a_convolution():
    x, offset, weight, _, _ = made_up('plain', PLAIN, reach=0)
    out, plain = (
        convolve(x, offset, weight, None, None, PLAIN),
        F.conv2d(x, weight, None, 1, 1),
    )
    torch.testing.assert_close(out, plain)
    for grads in zip(gradients(out, [x, weight]), gradients(plain, [x, weight])):
        torch.testing.assert_close(*grads)


@pytest.mark.parametrize('kind', ['plain', 'bias'])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(kind, dtype):
    leaves = made_up(kind, PLAIN)
    half = [t if t is None else t.detach().to(dtype).requires_grad_() for t in leaves]
    # The same rounded values, computed in float64.
    full = [t if t is None else t.detach().double().requires_grad_() for t in half]
    out, expected = convolve(*half, PLAIN), convolve(*full, PLAIN)
    assert out.dtype == dtype
    close = dict(rtol=2 * torch.finfo(dtype).eps, atol=1e-3, check_dtype=False)
    torch.testing.assert_close(out.double(), expected, **close)
    # Also where the backward pass is under autocast.
    with torch.autocast('cpu', dtype=torch.bfloat16):
        grads = gradients(out.double(), half)
    for leaf, grad, other in zip(half, grads, gradients(expected, full)):
        assert grad.dtype == leaf.dtype
        torch.testing.assert_close(grad.double(), other, **close)


def test_how_a_batch_is_split_has_no_effect():
    leaves = made_up('plain', PLAIN, images=4)
    split = convolve(*leaves, PLAIN, im2col_step=2)
    assert torch.equal(split, convolve(*leaves, PLAIN))


def test_batches_of_none():
    """mmcv.ops refuses them; who calls the operators gets the empty output."""
    x, offset, weight, mask, bias = made_up('bias', PLAIN, images=0)
    empty, steps = x.new_empty(0), (3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    out = x.new_empty(0, 6, 7, 9)
    ext.modulated_deform_conv_forward(
        x, weight, bias, empty, offset, mask, out, empty, *steps, True
    )
    grads = [torch.zeros_like(t) for t in (x, weight, bias, offset, mask)]
    ext.modulated_deform_conv_backward(
        x, weight, bias, empty, offset, mask, empty, *grads, out, *steps, True
    )
    assert not any(grad.any() for grad in grads)


def test_the_plain_ones_gradients_are_computed_once(monkeypatch):
    from mmkd.compat.mmcv_ops import deform_conv

    calls, backward = [], deform_conv._backward
    monkeypatch.setattr(
        deform_conv, '_backward', lambda *args: calls.append(1) or backward(*args)
    )
    leaves = made_up('plain', PLAIN)[:3]
    out = convolve(*leaves, None, None, PLAIN)
    torch.autograd.grad(out.sum(), leaves)
    assert len(calls) == 1


def test_a_weights_gradient_is_never_that_of_another_output():
    x, offset, weight = (t.detach() for t in made_up('plain', PLAIN)[:3])
    buffer, once = x.new_empty(0), torch.ones(2, 6, 7, 9, dtype=x.dtype)

    def by_input(grad):
        results = torch.zeros_like(x), torch.zeros_like(offset)
        ext.deform_conv_backward_input(
            x, offset, grad, *results, weight, buffer, **STEPS
        )

    def by_weight(grad, scale=1):
        result = torch.zeros_like(weight)
        ext.deform_conv_backward_parameters(
            x, offset, grad, result, buffer, buffer, scale=scale, **STEPS
        )
        return result

    expected = by_weight(once)
    by_input(once)
    torch.testing.assert_close(by_weight(2 * once), 2 * expected)
    by_input(once)
    torch.testing.assert_close(by_weight(once, scale=3), 3 * expected)
    by_input(once)
    once *= 2
    torch.testing.assert_close(by_weight(once), 2 * expected)


@pytest.mark.parametrize('device', ['cuda', 'cpu'])
def test_fake_tensors(device):
    """Fake ones on a GPU have no backward pass of autograd's, so it is called here."""
    with FakeTensorMode():
        x, offset = torch.zeros(2, 4, 7, 9, device=device), torch.zeros(2, 18, 7, 9)
        offset, weight = offset.to(device), torch.zeros(6, 4, 3, 3, device=device)
        out = mmcv.ops.deform_conv2d(x, offset, weight, 1, 1)
        mask = offset[:, :9]
        modulated = mmcv.ops.modulated_deform_conv2d(
            x, offset, mask, weight, None, 1, 1
        )
        buffer = x.new_empty(0)
        grads = [torch.zeros_like(t) for t in (x, offset, weight)]
        ext.deform_conv_backward_input(
            x, offset, out, *grads[:2], weight, buffer, **STEPS
        )
        buffers = (x.new_empty(0), buffer)
        ext.deform_conv_backward_parameters(
            x, offset, out, grads[2], *buffers, scale=1, **STEPS
        )
    for tensor in (out, modulated):
        assert tensor.shape == (2, 6, 7, 9) and tensor.device.type == device


@pytest.mark.parametrize('kind', ['plain', 'modulated'])
def test_offsets_that_are_not_finite(kind):
    """torchvision's kernels end the process at NaN, or read anything."""
    leaves = made_up(kind, PLAIN)
    wild = leaves[1].detach().clone()
    wild[0, 4, 2, 3], wild[1, 5, 0, 0], wild[1, 6, 0, 1] = torch.nan, torch.inf, -1e300
    far = wild.nan_to_num(0, 99, -99).clamp(-99, 99).requires_grad_()
    wild.requires_grad_()
    leaves[1], other = wild, [leaves[0], far, *leaves[2:]]
    out, expected = convolve(*leaves, PLAIN), convolve(*other, PLAIN)
    assert out[0, :, 2, 3].isnan().all()
    rest = torch.ones(2, 1, 7, 9, dtype=torch.float64)
    rest[0, 0, 2, 3] = 0
    torch.testing.assert_close(out.where(rest > 0, 0.0), expected * rest)
    for grad, same in zip(
        gradients(out.where(rest > 0, 0.0), leaves), gradients(expected * rest, other)
    ):
        torch.testing.assert_close(grad, same)


def test_offsets_of_another_shape_are_refused():
    x, offset, weight = made_up('plain', PLAIN)[:3]
    with pytest.raises(RuntimeError, match='offset'):
        convolve(x, offset[:, 2:].contiguous(), weight, None, None, PLAIN)
    with pytest.raises(RuntimeError, match='offset'):
        convolve(x, offset[..., 2:].contiguous(), weight, None, None, PLAIN)


def test_as_modules():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 7, 9)
    for pack in (mmcv.ops.DeformConv2dPack, mmcv.ops.ModulatedDeformConv2dPack):
        layer = pack(4, 6, 3, stride=2, padding=1, deform_groups=2)
        half = 0.5 if pack is mmcv.ops.ModulatedDeformConv2dPack else 1
        out = layer(x)
        torch.testing.assert_close(out, half * F.conv2d(x, layer.weight, None, 2, 1))
        out.square().sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in layer.parameters())
    # An image smaller than the kernel, which mmcv pads and cuts.
    layer = mmcv.ops.DeformConv2d(4, 6, 3, padding=1)
    out = layer(x[:, :, :2, :2], torch.zeros(2, 18, 2, 2))
    torch.testing.assert_close(out, F.conv2d(x[:, :, :2, :2], layer.weight, None, 1, 1))
