"""Tokens as maps: by hand, and those of real transformers."""

import pytest
import torch
from mmengine.registry import MODELS

from mmkd.errors import ConfigError
from mmkd.models.losses.parts.token_maps import as_map, map_shape

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SWIN = dict(
    type='mmpretrain.SwinTransformer',
    arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
    img_size=32,
    window_size=4,
    out_indices=(0, 1),
    norm_cfg=None,
)
VIT = dict(
    arch=dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16),
    img_size=32,
    patch_size=8,
    out_indices=(0,),
    out_type='featmap',
)


@pytest.mark.parametrize('extra', [0, 1, 2])
@pytest.mark.parametrize('side', [1, 2, 3, 14])
def test_each_token_goes_to_its_place(side, extra):
    tokens = torch.arange(2 * (side**2 + extra) * 3.0).view(2, -1, 3)
    maps = as_map(tokens)
    assert maps.shape == map_shape(tokens.shape) == (2, 3, side, side)
    for row in range(side):
        for column in range(side):
            token = tokens[:, extra + row * side + column]
            assert torch.equal(maps[:, :, row, column], token)


def test_maps_stay_as_they_are():
    maps = torch.randn(2, 3, 4, 5)
    assert as_map(maps) is maps


def test_no_samples():
    assert as_map(torch.zeros(0, 5, 3)).shape == (0, 3, 2, 2)


@pytest.mark.parametrize('tokens', [0, 7, 8, 12, 52])
def test_other_numbers_of_tokens_are_refused(tokens):
    with pytest.raises(
        ConfigError, match=rf'here: .*\(2, {tokens}, 3\) fill no square'
    ):
        as_map(torch.zeros(2, tokens, 3), 'here')


@pytest.mark.parametrize('shape', [(2, 3), (4,), (2, 3, 4, 5, 6)])
def test_other_ranks_are_refused(shape):
    with pytest.raises(ConfigError, match=r'as_map: needs maps .* got shape \('):
        as_map(torch.zeros(shape))


def stage_outputs(network, names):
    """What the network puts out, and what its modules do."""
    network.eval()
    seen = []
    for name in names:
        network.get_submodule(name).register_forward_hook(
            lambda module, args, output: seen.append(output)
        )
    with torch.no_grad():
        return network(IMAGES), seen


def test_swin_makes_the_same_maps_of_its_stages():
    network = MODELS.build(SWIN)
    maps, stages = stage_outputs(network, ['stages.0', 'stages.1'])
    for wanted, (tokens, size) in zip(maps, stages):
        assert wanted.shape[2:] == tuple(size)
        assert torch.equal(as_map(tokens), wanted)


@pytest.mark.parametrize(
    'kind, options',
    [
        ('VisionTransformer', dict()),
        ('VisionTransformer', dict(with_cls_token=False)),
        ('DistilledVisionTransformer', dict()),
    ],
)
def test_vit_and_deit_make_the_same_maps_of_their_layers(kind, options):
    network = MODELS.build(dict(VIT, type=f'mmpretrain.{kind}', **options))
    (wanted,), (tokens,) = stage_outputs(network, ['layers.0'])
    assert tokens.shape[1] == 16 + network.num_extra_tokens
    assert torch.equal(as_map(tokens), wanted)
