"""The model that a Runner trains."""

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def bare_model(runner: Runner) -> nn.Module:
    """Return the model, out of what a distributed run wraps around it."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model
