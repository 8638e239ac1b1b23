"""What must hold of the example's loss."""

import pytest
import torch

from projects.example_project.cosine_loss import CosineLoss, cosine_loss


def test_value():
    student = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    teacher = torch.tensor([[0.0, 2.0], [3.0, 3.0]])
    assert cosine_loss(student, teacher).item() == pytest.approx(0.5)


def test_zero_where_directions_agree():
    logits = torch.randn(4, 7, dtype=torch.float64)
    loss = CosineLoss()([logits], [3 * logits], [None])
    assert loss.item() == pytest.approx(0, abs=1e-12)
