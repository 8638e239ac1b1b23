"""Whether a teacher that has the student's own weights says what the student says.

Then both sides of a comparison are the same, but for what is random in training and
put to rest here: batch norm, dropout, drop path. Anything else that differs is a fault
in how :mod:`mmkd.models.families` runs the teacher, or in what a pairing lines up::

    distiller = twins(load_config('mmdet::htc/htc_r50_fpn_1x_coco.py'), ['roi.logits'])
    assert not any(misfits(distiller, batch_for(distiller.student)).values())

``tools/identity.py`` asks it of stock configs.
"""

import copy
from contextlib import ExitStack
from typing import Dict, List, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from mmkd.configs import build_model, input_size_of, student_of
from mmkd.models import Distiller
from mmkd.models.image_size import size_of
from mmkd.models.taps import Taps
from mmkd.testing import classification_batch, detection_batch

#: Side of the images, where the network has none of its own.
SIZE = 128
#: Largest difference, of the largest value.
TOLERANCE = 1e-5
#: What is random in training, or hangs on the batch: classes, and names of such.
AT_REST = _BatchNorm, _DropoutNd, nn.MultiheadAttention
AT_REST_NAMES = 'DropPath', 'DropBlock'


def twins(cfg: Config, on: Sequence) -> Distiller:
    """Make a Distiller whose teacher is the student, with equal weights.

    They are random: also biases, scales and all else that begins as a constant, under
    which whole branches may be zero. Batch norms have seen a batch.

    Args:
        cfg (Config): A stock one, or a Distiller's, of which the student is taken.
        on (Sequence): What to compare, see :func:`mmkd.models.pairings.build_pairing`;
            each has a loss: ``loss_0``, ``loss_1`` and so on.

    Raises:
        ConfigError: It is refused.
    """
    cfg = copy.deepcopy(cfg)
    cfg.model, size = student_of(cfg.model), size_for(cfg)
    known = ('model', 'default_scope', 'data_preprocessor')
    teacher = dict(config={key: cfg[key] for key in known if key in cfg})
    losses = {
        f'loss_{index}': dict(type='FitNetLoss', on=each)
        for index, each in enumerate(on)
    }
    cfg.model = dict(
        type='mmkd.Distiller',
        student=cfg.model,
        teacher=copy.deepcopy(dict(teacher, allow_untrained=True)),
        losses=losses,
        probe_size=size,
    )
    distiller = build_model(cfg)
    with torch.no_grad():
        for weight in distiller.student.parameters():
            if not _varies(weight):
                weight.add_(0.1 * torch.randn_like(weight))
    _settle(distiller.student, batch_for(distiller.student, size))
    weights = distiller.student.state_dict()
    distiller.teachers['teacher'].model.load_state_dict(weights)
    return distiller


@torch.no_grad()
def _settle(model, batch):
    """Let batch norms know what they get: without it deep networks overflow at rest."""
    if not hasattr(model, 'backbone'):
        return
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    model.extract_feat(model.data_preprocessor(batch, True)['inputs'])
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum


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
    known = [getattr(module, 'num_classes', 5) for module in model.modules()]
    classes = min(count for count in known if count > 0)  # -1: it classifies nothing
    batch = detection_batch(classes=classes, size=size, masks=model.with_mask)
    for sample in batch['data_samples']:
        boxes = sample.gt_instances.bboxes
        sample.ignored_instances = sample.gt_instances[:0]
        sample.proposals = InstanceData(bboxes=torch.cat([boxes, boxes + 4]))
        noise = torch.randint(2, (1, *sample.img_shape))
        sample.gt_sem_seg = PixelData(sem_seg=noise)
    return batch


def misfits(distiller: Distiller, batch: dict) -> Dict[str, List[str]]:
    """Say of each loss where the two sides of a real training step differ.

    Args:
        distiller (Distiller): From :func:`twins`.
        batch (dict): As a dataloader gives it.

    Returns:
        dict[str, list[str]]: Sentences by loss; none where both sides are equal, and
        where all rows that the student's class loss got are there, with a gradient.
    """
    student = distiller.student
    distiller.train()
    for module in student.modules():
        if isinstance(module, AT_REST) or type(module).__name__ in AT_REST_NAMES:
            module.eval()
    seen = {}

    def keep(term, args):
        seen[term.name] = args[0]

    losses = [name for name, _ in student.named_modules() if name.endswith('loss_cls')]
    taps = Taps(student, losses, 'student', losses)
    with ExitStack() as stack:
        stack.enter_context(taps)
        for term in distiller.terms:
            stack.callback(term.register_forward_pre_hook(keep).remove)
        distiller(**distiller.data_preprocessor(batch, True), mode='loss')
    return {
        term.name: [
            *_unequal(seen[term.name]),
            *_without_gradient(student, term.pairing, seen[term.name]),
            *_other_rows(term.pairing, seen[term.name], taps),
        ]
        for term in distiller.terms
    }


def _unequal(aligned):
    for level, (own, answer) in enumerate(zip(aligned.student, aligned.teacher)):
        if own.shape != answer.shape:
            yield f'level {level}: shapes {tuple(own.shape)} and {tuple(answer.shape)}'
            continue
        if own.numel() == 0:
            continue
        moved, largest = (own - answer).abs().max(), own.abs().max()
        if not moved <= TOLERANCE * largest:
            yield f'level {level}: the teacher is off by {moved / largest:.1e}'
    if not any(map(_varies, aligned.student)):
        yield 'there is nothing to tell apart: no value, or the same everywhere'


def _without_gradient(student, pairing, aligned):
    for level, own in enumerate(aligned.student):
        if not own.requires_grad:
            yield f'level {level}: no gradient'
    learning = [own for own in aligned.student if own.requires_grad]
    if not learning:
        return
    student.zero_grad()
    # Not torch.autograd.grad, which no checkpointed block supports.
    sum((own * torch.randn_like(own)).sum() for own in learning).backward(
        retain_graph=True
    )
    # Of the modules that are compared alone, where they have any.
    compared = [student.get_submodule(path) for path in pairing.student_outputs]
    weights = _learns(compared) or _learns([student])
    if not any(weight.grad is not None and weight.grad.any() for weight in weights):
        yield 'a gradient that reaches no weight'


def _varies(tensor):
    return (tensor != tensor.flatten()[:1]).any()


def _learns(modules):
    weights = (weight for module in modules for weight in module.parameters())
    return [weight for weight in weights if weight.requires_grad]


def _other_rows(pairing, aligned, taps):
    losses = [name for name in pairing.student_inputs if name.endswith('loss_cls')]
    for name, own in zip(losses, aligned.student):
        # A sampler may ask the loss, too, without gradient.
        calls = [call for call in taps[name].calls if call.args[0].requires_grad]
        rows = sum(
            (call.args[1] < pairing.num_classes).sum().item()
            if pairing.name == 'roi.boxes'
            else len(call.args[0])
            for call in calls
        )
        scores = [call.args[0] for call in calls]
        if len(own) != rows:
            yield f'{len(own)} rows are compared, and {name} trains on {rows}'
        elif pairing.name == 'roi.logits' and not torch.equal(own, torch.cat(scores)):
            yield f'other rows are compared than {name} trains on'
