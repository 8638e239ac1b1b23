"""A step on a GPU that is not there: fake tensors find mixed devices and hidden reads.

Forward only: a fake backward pass asks for a driver.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mmkd.models import Distiller
from mmkd.models.families import Run, family_of
from mmkd.models.losses import KDLoss
from mmkd.models.teacher_pass import TeacherPass, student_taps
from mmkd.testing import classification_batch, toy_classifier, toy_detector

MAPS = 'backbone.layer2'
NORMED = dict(type='ConvNormAdapter', relu=True)
LOSSES = dict(
    loss_kd=dict(type='KDLoss', on='logits'),
    loss_dkd=dict(type='DKDLoss', on='logits', weight=dict(value=1.0, warmup_iters=9)),
    loss_lskd=dict(type='LSKDLoss', on='logits', loss=dict(type='NKDLoss')),
    loss_luminet=dict(type='LumiNetLoss', on='logits'),
    loss_sdd=dict(type='SDDLoss', on='cells.logits', loss=dict(type='DKDLoss')),
    loss_fitnet=dict(type='FitNetLoss', on=dict(student=MAPS, adapter=NORMED)),
    loss_hint=dict(type='FitNetLoss', on='neck'),
    loss_srrl=dict(type='SRRLLoss', on=dict(student='backbone', adapter=NORMED)),
    loss_pkd=dict(type='PKDLoss', on=MAPS),
    loss_cwd=dict(type='CWDLoss', on=MAPS, standardise=True),
    loss_mgd=dict(type='MGDLoss', on=MAPS),
    loss_reviewkd=dict(type='ReviewKDLoss', on=[MAPS, 'neck']),
    loss_unikd=dict(
        type='UniKDLoss', on=dict(student=[MAPS, 'head'], teacher=[MAPS, 'head'])
    ),
    loss_ofa=dict(
        type='OFALoss',
        on=dict(
            pairing='logits',
            modules=[MAPS],
            adapter=dict(type='StageClassifierAdapter', width=24),
        ),
    ),
    # CRD is not here: its indices come from pinned memory, which no fake tensor has.
    # LAKD takes gradients in the forward pass, so here it cuts nowhere.
    loss_lakd=dict(type='LAKDLoss', on=[MAPS, 'backbone.layer3'], cuts=[]),
)


def losses_on_a_fake_gpu(model, inputs, samples, device='cuda'):
    """Move everything there and take a step; nothing is computed."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to(device)
        samples = [sample.to(device) for sample in samples]
        losses = model(torch.zeros(inputs, device=device), samples, mode='loss')
        model.parse_losses(losses)
    return losses


@pytest.mark.parametrize('name', LOSSES)
def test_a_classifiers_losses(name):
    torch.manual_seed(0)
    teacher = toy_classifier(width=12)
    # Another input than the student's, which is made on the GPU.
    teacher.data_preprocessor.update(mean=[10.0] * 3, std=[20.0] * 3)
    model = Distiller(
        toy_classifier(),
        {name: LOSSES[name]},
        teacher=dict(config=teacher, allow_untrained=True),
        probe_size=32,
    ).train()
    samples = classification_batch()['data_samples']
    losses = losses_on_a_fake_gpu(model, (4, 3, 32, 32), samples)
    assert losses[name].device.type == 'cuda' and losses[name].shape == ()


def test_a_planted_read_is_found(monkeypatch):
    """So the test above can fail."""
    rows = KDLoss.rows
    monkeypatch.setattr(
        KDLoss, 'rows', lambda self, *sides: rows(self, *sides) * float(sides[0].sum())
    )
    with pytest.raises(Exception, match='_local_scalar_dense|DataDependent|item'):
        test_a_classifiers_losses('loss_kd')


def test_a_planted_device_is_found(monkeypatch):
    rows = KDLoss.rows
    monkeypatch.setattr(
        KDLoss,
        'rows',
        lambda self, *sides: rows(self, *sides) * torch.ones(len(sides[0])),
    )
    with pytest.raises(Exception, match='(?i)device'):
        test_a_classifiers_losses('loss_kd')


@pytest.mark.parametrize('loss', ['FitNetLoss', 'FGDLoss'])
def test_a_detectors_features_and_their_side_information(loss):
    """Its RPN reads how many boxes there are, so no fake one trains as a whole."""
    torch.manual_seed(0)
    model = Distiller(
        toy_detector(),
        dict(loss_neck=dict(type=loss, on='neck')),
        teacher=dict(config=toy_detector(width=12), allow_untrained=True),
        probe_size=64,
    )
    (term,), teacher = model.terms, model.teachers['teacher']
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to('cuda')
        inputs = torch.zeros(2, 3, 64, 64, device='cuda')
        family = family_of(model.student)
        samples = family.samples(inputs)
        teacher_pass = TeacherPass(teacher, [term])
        teacher_pass.begin(inputs, samples)
        with student_taps(model.student, [term]) as taps:
            family.rehearse(Run(model.student, inputs, samples), ['neck'])
        teacher_pass.finish(taps)
        value = term(term.pairing.align(taps, teacher_pass.taps, samples), samples)
    assert value.device.type == 'cuda'
