"""Where the two sides of a real training step differ, though both are one network."""

import copy
from contextlib import ExitStack
from itertools import zip_longest
from typing import Dict, List, Tuple

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from mmkd.identity.trained import record, trained_on
from mmkd.models import Distiller
from mmkd.models.pairings import Aligned
from mmkd.models.taps import Taps

#: Largest difference, of the largest value.
TOLERANCE = 1e-5
#: How far the weights of another teacher are off, of their own.
NUDGE = 0.1
#: Most of its rows that may then be the student's: a few are by rounding.
SAME = 0.1
#: What is random in training, or hangs on the batch: classes, and names of such.
AT_REST = _BatchNorm, _DropoutNd, nn.MultiheadAttention
AT_REST_NAMES = 'DropPath', 'DropBlock'


def misfits(distiller: Distiller, batch: dict) -> Dict[str, List[str]]:
    """Say of each loss what is wrong with what it compares.

    Args:
        distiller (Distiller): From :func:`twins`; each pairing keeps all rows. Its
            teacher is another afterwards: it is seen to be asked.
        batch (dict): As a dataloader gives it.

    Returns:
        dict[str, list[str]]: Sentences by loss; none where both sides are equal, are
        all that the student's own loss trains on, with a gradient in each row, and
        the teacher's side is its own.
    """
    student = distiller.student
    distiller.train()
    for module in student.modules():
        if isinstance(module, AT_REST) or type(module).__name__ in AT_REST_NAMES:
            module.eval()
    compared, taps = _step(distiller, batch)
    found = {
        term.name: [
            *_unequal(compared[term.name]),
            *_without_gradient(student, term.pairing, compared[term.name]),
            *_other_rows(compared[term.name], trained_on(term.pairing, taps)),
        ]
        for term in distiller.terms
    }
    with torch.no_grad():
        for weight in distiller.teachers['teacher'].model.parameters():
            weight.mul_(1 + NUDGE * torch.randn_like(weight))
    # Of other RoIs, maybe: a sampler's need not be the same again.
    for name, aligned in _step(distiller, batch)[0].items():
        found[name] += _not_of_teacher(aligned)
    return found


def _step(distiller, batch) -> Tuple[Dict[str, Aligned], Taps]:
    """Run a step; return what each loss compares, and what was recorded."""
    compared = {}

    def keep(term, args):
        compared[term.name] = args[0]

    with ExitStack() as stack:
        taps = record(distiller.student, [term.pairing for term in distiller.terms])
        stack.enter_context(taps)
        for term in distiller.terms:
            stack.callback(term.register_forward_pre_hook(keep).remove)
        whole = distiller.data_preprocessor(copy.deepcopy(batch), True)
        distiller(**whole, mode='loss')
    return compared, taps


def _unequal(aligned):
    counts = len(aligned.student), len(aligned.teacher)
    if len(set(counts)) > 1:
        yield f'{counts[0]} levels of the student and {counts[1]} of the teacher'
    for level, (own, answer) in enumerate(zip(aligned.student, aligned.teacher)):
        if own.shape != answer.shape:
            yield f'level {level}: shapes {tuple(own.shape)} and {tuple(answer.shape)}'
        elif not _close(answer, own):
            off = (own - answer).abs().max() / own.abs().max()
            yield f'level {level}: the teacher is off by {off:.1e}'
    if not any(map(varies, aligned.student)):
        yield 'there is nothing to tell apart: no value, or the same everywhere'


def _without_gradient(student, pairing, aligned):
    for level, own in enumerate(aligned.student):
        if not own.requires_grad and own.numel():
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


def _other_rows(aligned, trained):
    if trained is None:
        return
    if len(aligned.student) != len(trained):
        yield f'{len(aligned.student)} of {len(trained)} levels are compared'
    for level, (own, targets, known) in enumerate(
        zip_longest(aligned.student, aligned.targets, trained)
    ):
        if own is not None and known is not None:
            wrong = _other_than(known, own, targets)
            if wrong:
                yield f'level {level}: {wrong}'


def _other_than(known, own, targets):
    """Say how compared rows are other than those that the loss got."""
    count = 0 if known.rows is None else len(known.rows)
    if len(own) != count:
        return f'{len(own)} rows are compared, and its own loss trains on {count}'
    if not count:
        return ''
    cells = own.dim() > known.rows.dim()
    rows = known.as_loss(own[..., 0] if cells else own)  # the whole comes first
    if rows.shape != known.rows.shape or not _close(rows, known.rows):
        return 'other rows are compared than its own loss trains on'
    if known.targets is not None and not (
        targets is not None and torch.equal(targets, known.targets)
    ):
        return 'other labels come with the rows than its own loss got'
    if not own.requires_grad or not known.source.requires_grad:
        return ''
    noise = torch.randn_like(rows)
    reached = [_gradient(each, noise, known.source) for each in (rows, known.rows)]
    if not _close(*reached):
        return 'rows without a gradient, or not with that of its own loss'
    if cells and known.maps.requires_grad:
        for cell in own.unbind(-1):
            reached = _gradient(cell, torch.randn_like(cell), known.maps)
            if not reached.flatten(1).any(1).all():
                return 'cells without a gradient'
    return ''


def _not_of_teacher(aligned):
    for level, (own, answer) in enumerate(zip(aligned.student, aligned.teacher)):
        if own.shape != answer.shape or not own.numel():
            continue  # which was said before
        own, answer = (side.reshape(len(own), -1) for side in (own, answer))
        # A ReLU may give zeros alone, of which nothing is told.
        same = (own == answer).all(1)[own.any(1)].float().mean()
        if same > SAME:
            which = f"{same:.0%} of the teacher's rows"
            yield f'level {level}: {which} are not of its weights'


def varies(tensor: torch.Tensor) -> bool:
    """Whether a tensor has two values at least."""
    return bool((tensor != tensor.flatten()[:1]).any())


def _close(tensor, known):
    if not known.numel():
        return True
    return bool((tensor - known).abs().max() <= TOLERANCE * known.abs().max())


def _gradient(rows, noise, source):
    (gradient,) = torch.autograd.grad(
        rows, source, noise, retain_graph=True, allow_unused=True
    )
    return torch.zeros_like(source) if gradient is None else gradient


def _learns(modules):
    weights = (weight for module in modules for weight in module.parameters())
    return [weight for weight in weights if weight.requires_grad]
