"""One step of shipped configs gives the figures that were written down.

Every loss and both kinds of network, in float64 on one thread. Weights are a function
of their names, so that the figures do not hang on the order in which networks are
built. Whoever changes a figure on purpose runs this file, which writes them anew, and
says in the commit which fault changed which one::

    python tests/test_configs/test_step_figures.py
"""

import json
import zlib
from pathlib import Path

import pytest
import torch
from torch import nn

from mmkd.configs import build_model, load_config
from mmkd.testing import classification_batch, detection_batch, shrink

CONFIGS = Path(__file__).parents[2] / 'configs'
FILE = Path(__file__).with_name('step_figures.json')
PATHS = [
    *sorted(f'cifar100/{p.name}' for p in CONFIGS.glob('cifar100/*_resnet56_*.py')),
    'cifar100/ofd_wrn40-2_wrn16-2.py',
    'cifar100/reviewkd_resnet32x4_shufflenetv2.py',
    'cifar100/sddkd_vgg13_mobilenetv2.py',
    'imagenet/crd_r50_mv1.py',
    'imagenet/lakd_r34_r18.py',
    'imagenet/luminet_r34_r18.py',
    'imagenet/unikd_r34_r18.py',
    *sorted(f'coco/{p.name}' for p in CONFIGS.glob('coco/*[!0].py')),
    *(f'coco/dense/{m}_retinanet_x101_r50.py' for m in ('pkd', 'cwd', 'fgd', 'mgd')),
    'quickstart/luminet.py',
]
#: Of the directions in which gradients are measured, beside their lengths.
SEED = 'direction of '


def generator_of(name: str) -> torch.Generator:
    """Return a generator whose numbers hang on the name alone."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def give_weights(model: nn.Module, role: str) -> None:
    """Overwrite all parameters by numbers that hang on their names alone."""
    for name, parameter in model.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator_of(f'{role}.{name}'))
        if parameter.dim() > 1:
            drawn = drawn / parameter[0].numel() ** 0.5
        else:
            drawn = 0.1 * drawn + (1.0 if name.endswith('weight') else 0.0)
        parameter.data.copy_(drawn)


def batch_of(cfg) -> dict:
    """Return a batch of two to four images for a shrunken config."""
    network = cfg.model.get('student', cfg.model)
    if 'head' in network:
        size = 64 if network.backbone.type == 'ResNet' else 32
        return classification_batch(classes=network.head.num_classes, size=size)
    of_rois = network.get('roi_head', {})
    heads = network.get('bbox_head') or of_rois.bbox_head
    head = heads[0] if isinstance(heads, list) else heads
    masks = 'mask_head' in of_rois
    return detection_batch(classes=head.num_classes, masks=masks)


def figures_of(path: str) -> dict:
    """Take one step of a config; return what it logs and where it pulls."""
    cfg = shrink(load_config(str(CONFIGS / path)))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        model = build_model(cfg).double()
        give_weights(model, 'student')
        for name, teacher in getattr(model, 'teachers', {}).items():
            give_weights(teacher.model.double(), name)
        for term in getattr(model, 'terms', ()):
            term.loss.see_training_set(torch.arange(1000) % 100)
        model.train()
        torch.manual_seed(0)
        data = model.data_preprocessor(batch_of(cfg), True)
        for sample in data['data_samples']:
            if 'gt_instances' in sample:
                sample.gt_instances.bboxes = sample.gt_instances.bboxes.double()
        losses = model(data['inputs'].double(), data['data_samples'], mode='loss')
        total, logged = model.parse_losses(losses)
        total.backward()
    finally:
        torch.set_default_dtype(before)
    squares, along = 0.0, 0.0
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            gradient = parameter.grad.double()
            direction = torch.randn(gradient.shape, generator=generator_of(SEED + name))
            squares += gradient.square().sum().item()
            along += (gradient * direction).sum().item()
    figures = {name: float(torch.as_tensor(v).detach()) for name, v in logged.items()}
    return dict(figures, gradient_length=squares**0.5, gradient_along=along)


@pytest.mark.parametrize('path', PATHS)
def test_one_step_gives_the_same_figures(path):
    expected = json.loads(FILE.read_text())[path]
    figures = figures_of(path)
    assert figures.keys() == expected.keys()
    scale = expected['gradient_length']
    for name, value in expected.items():
        floor = scale if name == 'gradient_along' else 0
        near = pytest.approx(value, rel=1e-7, abs=1e-7 * floor)
        assert figures[name] == near, name


if __name__ == '__main__':
    torch.set_num_threads(1)
    written = {path: figures_of(path) for path in PATHS}
    FILE.write_text(json.dumps(written, indent=1) + '\n')
    print(f'{FILE}: {len(written)} configs')
