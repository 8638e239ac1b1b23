"""What must hold of the example's loss, alone and in its config."""

from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmkd.configs import build_model, load_config
from mmkd.errors import ConfigError
from mmkd.testing import detection_batch, shrink
from projects.example_project.cosine_loss import CosineLoss, cosine_loss

CONFIG = Path(__file__).parent / 'cosine.py'


def test_value():
    student = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    teacher = torch.tensor([[0.0, 80.0], [9.0, 9.0]])
    # (1/2, 1/2) against (0, 1), then equal directions.
    expected = (1 - 0.5**0.5) / 2
    assert cosine_loss(student, teacher, tau=4.0).item() == pytest.approx(expected)


def test_zero_where_predictions_agree():
    logits = torch.randn(4, 7, dtype=torch.float64)
    loss = CosineLoss()([logits], [logits + 3.0], [None])
    assert loss.item() == pytest.approx(0, abs=1e-12)


def test_a_wrong_temperature_is_refused():
    with pytest.raises(ConfigError, match='tau must be a number above 0, got -1'):
        CosineLoss(tau=-1)


def test_its_config_takes_a_step():
    cfg = shrink(load_config(str(CONFIG)))
    model = build_model(cfg)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    log = model.train_step(detection_batch(classes=10), optim_wrapper)
    assert log['loss_cosine'] > 0
