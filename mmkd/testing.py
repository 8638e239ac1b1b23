"""Small networks and made-up batches for tests: of mmkd, and of what builds on it.

One step of a shipped config, in a moment on a CPU::

    cfg = shrink('configs/coco/luminet_frcnn.py')
    model = mmkd.configs.build_model(cfg)
    optim_wrapper = mmengine.optim.build_optim_wrapper(model, cfg.optim_wrapper)
    model.train_step(detection_batch(classes=80), optim_wrapper)

Nothing here reads data or downloads weights.
"""

import copy
import functools
from typing import Sequence, Union

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData

from mmkd.configs import (
    is_distiller,
    load_config,
    name_of,
    student_of,
    teachers_of,
)
from mmkd.construct import build_from

#: What :func:`toy_detector` can make.
DETECTORS = dict(
    faster='mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    mask='mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    cascade='mmdet::_base_/models/cascade-rcnn_r50_fpn.py',
)
#: What necks and heads get wherever they have these keys: channels, and counts of
#: proposals, detections and sampled RoIs.
CHANNELS = ('in_channels', 'out_channels', 'feat_channels', 'conv_out_channels')
CHANNELS += ('point_feat_channels',)
SMALL = dict.fromkeys(CHANNELS, 32)  # a multiple of group norm's 32
SMALL.update(fc_out_channels=32, nms_pre=100, max_per_img=50, num=32)
#: Most samples that a loss's memory holds.
NUM_SAMPLES = 1000
#: Networks with a base width.
RESNETS = ('ResNet', 'ResNetV1c', 'ResNetV1d', 'ResNeXt', 'CIFARBottleneckResNet')
#: Networks whose width and depth are factors.
SCALED = ('MobileNetV2', 'CSPDarknet', 'CSPNeXt')
#: Least depths of the CIFAR networks.
DEPTHS = dict(CIFARResNet=8, CIFARWideResNet=10, CIFARVGG=8)
#: What backbones put out, asked once each: channels by scope and config.
CHANNELS_OUT = {}


def shrink(cfg: Union[str, Config], width: int = 8) -> Config:
    """Return a config whose networks fit a test on a CPU.

    Depths, widths, memories and counts of proposals go down; types, stages, levels,
    losses, classes and all that is not a network stay. ResNets keep their kind of block
    (18 and 34 become 18, deeper ones 50). CIFAR networks other than ResNets keep their
    widths, and where a loss names batch norms in them, all keep their depths; their
    shapes are checked on images of CIFAR's size. A backbone other than these,
    MobileNetV2, CSPDarknet, CSPNeXt and Swin stays as it is. Nothing loads weights:
    students start from random ones, and teachers and frozen backbones have them, inline
    and with ``allow_untrained=True``.

    Args:
        cfg (str | Config): A Distiller's or a stock model's, or its path
            (``package::path`` too). It is not changed.
        width (int): Base channels of ResNets, 64 in stock ones, and of Swin; those of
            the others go down by the same factor. Defaults to 8.

    Returns:
        Config: For a Runner, or :func:`mmkd.configs.build_model`.
    """
    cfg = load_config(cfg) if isinstance(cfg, str) else copy.deepcopy(cfg)
    scope, model = cfg.get('default_scope'), cfg.model
    if not is_distiller(model):
        cfg.model = _shrink_model(model, scope, width)
        return cfg
    model.student = _shrink_model(model.student, scope, width)
    if 'head' in model.student:
        cifar = name_of(model.student.backbone).startswith('CIFAR')
        model.setdefault('probe_size', 32 if cifar else 64)
    for term in model.losses.values():
        if 'num_samples' in term:
            term.num_samples = min(term.num_samples, NUM_SAMPLES)
    # What OFD names in a CIFAR teacher are modules of its full depth.
    depths = {} if any('norms' in term for term in model.losses.values()) else DEPTHS
    for teacher in teachers_of(model).values():
        for key, value in _shrink_teacher(teacher, width, depths).items():
            teacher[key] = value  # a config's update would merge it
    return cfg


def toy_classifier(classes: int = 10, width: int = 8) -> ConfigDict:
    """Describe a small mmpretrain classifier, a ResNet-18, for any default scope."""
    model = _stock('mmpretrain::_base_/models/resnet18.py').model
    model.head.update(num_classes=classes, topk=(1,))
    stats = dict(mean=[127.5] * 3, std=[64.0] * 3, to_rgb=True)
    model.data_preprocessor = dict(type='ClsDataPreprocessor', **stats)
    return ConfigDict(_shrink_model(model, 'mmpretrain', width), _scope_='mmpretrain')


def toy_detector(kind: str = 'faster', classes: int = 5, width: int = 8) -> ConfigDict:
    """Describe a small mmdet detector of :data:`DETECTORS`, for any default scope."""
    model = _stock(DETECTORS[kind]).model
    _set_all(model.roi_head, dict(num_classes=classes))
    return ConfigDict(_shrink_model(model, 'mmdet', width), _scope_='mmdet')


def classification_batch(
    n: int = 4, classes: int = 10, size: int = 32, seed: int = 0
) -> dict:
    """Make ``n`` square noise images with labels, as a dataloader gives a batch.

    Gives ``inputs``, uint8 ``(n, 3, size, size)``, and a list of ``data_samples``,
    numbered from 0 in ``sample_idx``.
    """
    from mmpretrain.structures import DataSample

    rng = np.random.default_rng(seed)
    batch = []
    for index, label in enumerate(rng.integers(classes, size=n).tolist()):
        sample = DataSample(metainfo=dict(sample_idx=index)).set_gt_label(label)
        batch.append(dict(inputs=_noise(rng, size, size), data_samples=sample))
    return default_collate(batch)


def detection_batch(
    objects: Sequence[int] = (3, 3),
    classes: int = 5,
    size: int = 128,
    seed: int = 0,
    masks: bool = False,
) -> dict:
    """Make noise images with boxes, as a dataloader of mmdet gives a batch.

    Gives ``inputs``, a list of uint8 ``(3, H, W)``, and a list of ``data_samples``.

    Args:
        objects (Sequence[int]): Boxes in each image, or 0. Defaults to (3, 3).
        classes (int): Labels are drawn from so many. Defaults to 5.
        size (int): Width and height; every second image is 16 lower, so that there
            is a border to pad. Defaults to 128.
        seed (int): Equal seeds give equal batches. Defaults to 0.
        masks (bool): Give each box the mask that fills it. Defaults to False.
    """
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    rng = np.random.default_rng(seed)
    batch = []
    for index, count in enumerate(objects):
        shape = (size - 16 * (index % 2), size)
        corners = rng.integers(size // 2, size=(count, 2))
        boxes = np.hstack([corners, corners + rng.integers(16, size // 3, (count, 2))])
        truth = InstanceData()
        truth.bboxes = torch.tensor(boxes, dtype=torch.float32)
        truth.labels = torch.tensor(rng.integers(classes, size=count))
        if masks:
            filled = np.zeros((count, *shape), np.uint8)
            for mask, (left, top, right, bottom) in zip(filled, boxes):
                mask[top:bottom, left:right] = 1
            truth.masks = BitmapMasks(filled, *shape)
        meta = dict(img_id=index, img_shape=shape, ori_shape=shape, scale_factor=(1, 1))
        sample = DetDataSample(metainfo=meta, gt_instances=truth)
        batch.append(dict(inputs=_noise(rng, *shape), data_samples=sample))
    return pseudo_collate(batch)


# MMEngine reads all of a package's metafiles for every base in it.
_load_once = functools.cache(load_config)


def _stock(path):
    return copy.deepcopy(_load_once(path))


def _noise(rng, height, width):
    return torch.tensor(rng.integers(256, size=(3, height, width), dtype=np.uint8))


def _shrink_teacher(teacher, width, depths):
    config = teacher['config']
    if isinstance(config, str):
        config = (_stock if '::' in config else load_config)(config)._cfg_dict
    whole = dict(model=config) if 'type' in config else dict(config)
    model = student_of(whole['model'])
    whole['model'] = _shrink_model(model, whole.get('default_scope'), width, depths)
    return dict(teacher, config=whole, checkpoint=None, allow_untrained=True)


def _shrink_model(model, scope, width, depths=DEPTHS):
    model = ConfigDict(copy.deepcopy(model))
    _set_all(model, dict(init_cfg=None, pretrained=None))
    scope = model.get('_scope_', scope)
    if name_of(model.backbone) == 'FrozenBackbone':
        model.backbone = _shrink_teacher(model.backbone, width, depths)
    channels = _shrink_backbone(model.backbone, scope, width, depths)
    if 'head' in model:
        model.head.in_channels = channels[-1]
    else:
        _set_all([part for key, part in model.items() if key != 'backbone'], SMALL)
        model.neck.in_channels = channels
    return model


def _shrink_backbone(backbone, scope, width, depths):
    """Shrink in place; return the channels that it puts out."""
    name = name_of(backbone)
    if name in RESNETS:
        depth = 18 if backbone.depth < 50 else 50
        backbone.update(depth=depth, base_channels=width, stem_channels=width)
        if 'groups' in backbone:
            backbone.groups = min(backbone.groups, 4)
    elif name in SCALED:
        backbone.widen_factor = width / 64
        if 'deepen_factor' in backbone:
            backbone.deepen_factor = 0.1
    elif name == 'SwinTransformer':
        backbone.update(embed_dims=width, num_heads=[1, 2, 4, 8], depths=[2] * 4)
    elif name in depths:
        backbone.depth = depths[name]
    if name == 'CIFARResNet':
        widths = backbone.get('widths', (16, 16, 32, 64))
        backbone.widths = [max(channels * width // 64, 1) for channels in widths]
    known = scope, repr(backbone)
    if known not in CHANNELS_OUT:
        with DefaultScope.overwrite_default_scope(scope), torch.random.fork_rng([]):
            network = build_from(MODELS, backbone)
        network.eval()
        levels = network(torch.zeros(1, 3, 64, 64))
        CHANNELS_OUT[known] = [level.size(1) for level in levels]
    return CHANNELS_OUT[known]


def _set_all(spec, values):
    """Replace values wherever their keys are in a nested spec."""
    if isinstance(spec, dict):
        spec.update({key: value for key, value in values.items() if key in spec})
        spec = spec.values()
    for child in spec:
        if isinstance(child, (dict, list, tuple)):
            _set_all(child, values)
