"""What must hold of the other reading, alone and in its config."""

from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmkd.configs import build_model, load_config
from mmkd.models.losses.aekt_loss import aekt_rows
from mmkd.testing import classification_batch, shrink
from projects.aekt_formula.surprise_aekt_loss import surprise_rows

CONFIG = Path(__file__).parent / 'resnet56_resnet20.py'


def test_explicit_knowledge_counts_by_the_gap():
    # Binary predictions of the student 1/2, of the teacher 9/10 and 1/10.
    student = torch.zeros(2, 2, dtype=torch.float64)
    teacher = torch.tensor([[9.0, 1.0], [1.0, 9.0]], dtype=torch.float64).log()
    explicit, implicit = surprise_rows(student, teacher, torch.zeros(2).long(), 1.0)
    divergence = 0.9 * torch.tensor(1.8).log() + 0.1 * torch.tensor(0.2).log()
    assert explicit.tolist() == pytest.approx([0.4 * divergence.item(), 0], abs=1e-7)
    assert implicit.tolist() == [0, 0]


def test_implicit_knowledge_is_as_in_mmkd():
    student, teacher = torch.randn(2, 4, 7, dtype=torch.float64)
    target = torch.arange(4)
    implicit = surprise_rows(student, teacher, target, 3.0)[1]
    assert torch.equal(implicit, aekt_rows(student, teacher, target, 3.0, 5.0)[1])


def test_its_config_takes_a_step():
    cfg = shrink(load_config(str(CONFIG)))
    model = build_model(cfg)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    log = model.train_step(classification_batch(classes=100), optim_wrapper)
    assert type(model.distill['loss_aekt'].loss).__name__ == 'SurpriseAEKTLoss'
    assert log['implicit_aekt'] > 0
    assert not [key for key in model.student.state_dict() if 'layer.weight' in key]
