"""A student that is its own teacher, and what to show it."""

import copy
from tempfile import TemporaryDirectory
from typing import List, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from torch import nn

from mmkd.configs import build_model, input_size_of, student_of
from mmkd.identity.misfits import varies
from mmkd.models import Distiller
from mmkd.models.image_size import size_of
from mmkd.testing import classification_batch, detection_batch

#: Side of the images, where the network has none of its own.
SIZE = 128


def twins(cfg: Config, on: Sequence, scale: float = 1.0) -> Distiller:
    """Make a Distiller whose teacher is the student, with equal weights.

    They are random: also biases, scales and all else that begins as a constant, under
    which whole branches may be zero.

    Args:
        cfg (Config): A stock one, or a Distiller's, of which the student is taken.
        on (Sequence): What to compare, see :func:`mmkd.models.pairings.build_pairing`;
            each has a loss: ``loss_0``, ``loss_1`` and so on.
        scale (float): Factor of all weights; a smaller one where values grow over all
            bounds, since batch norm does not hold them. Defaults to 1.0.

    Raises:
        ConfigError: It is refused.
    """
    cfg = copy.deepcopy(cfg)
    cfg.model = student_of(cfg.model)
    student = build_model(cfg)
    with torch.no_grad():
        for weight in filter(torch.numel, student.parameters()):
            if not 1e-6 < weight.abs().max() < 1e6:  # zero, or not drawn yet
                weight.normal_(std=0.05)
            if not varies(weight):
                weight.add_(0.1 * torch.randn_like(weight))
            weight.mul_(scale)
    known = ('model', 'default_scope', 'data_preprocessor')
    config = {key: cfg[key] for key in known if key in cfg}
    losses = {
        f'loss_{index}': dict(type='FitNetLoss', on=each)
        for index, each in enumerate(on)
    }
    with TemporaryDirectory() as folder:
        weights = f'{folder}/student.pth'
        torch.save(student.state_dict(), weights)
        teacher = dict(config=config, checkpoint=weights)
        return Distiller(student, losses, teacher, probe_size=size_for(cfg))


def offered(model: dict) -> List[str]:
    """List what a stock model offers to compare: features, and what its heads say."""
    features = 'neck' if model.get('neck') else 'backbone'
    if model.get('head'):
        return [features, 'logits']
    heads = [head for head in ('rpn_head', 'bbox_head') if model.get(head)]
    rois = ['roi.logits', 'roi.boxes'] if model.get('roi_head') else []
    return [features, *heads, *rois]


def size_for(cfg: Config) -> Optional[int]:
    """Return the side of a classifier's images; a detector takes smaller ones, too."""
    size = input_size_of(cfg) if student_of(cfg.model).get('head') else None
    return size and max(size)


def batch_for(model: nn.Module, size: Optional[int] = None) -> dict:
    """Make two images, of different sizes for a detector, with all that it trains on.

    Args:
        model (nn.Module): A classifier, or a detector, which gets boxes, masks,
            proposals and a map of two classes.
        size (int, optional): The side of the images, see :func:`size_for`. Defaults to
            what the model says, else to 128.
    """
    size = size or max(size_of(model) or (SIZE,))
    if hasattr(model, 'head'):
        classes = getattr(model.head, 'num_classes', 2)
        return classification_batch(2, classes, size)
    known = [
        getattr(module, 'num_classes', 5)
        for path, module in model.named_modules()
        if path != 'rpn_head'  # which calls all objects one
    ]
    classes = min(count for count in known if count > 0)  # -1: it classifies nothing
    batch = detection_batch(classes=classes, size=size, masks=model.with_mask)
    for sample in batch['data_samples']:
        boxes = sample.gt_instances.bboxes
        sample.ignored_instances = sample.gt_instances[:0]
        sample.proposals = InstanceData(bboxes=torch.cat([boxes, boxes + 4]))
        noise = torch.randint(2, (1, *sample.img_shape))
        sample.gt_sem_seg = PixelData(sem_seg=noise)
    return batch
