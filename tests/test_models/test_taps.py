"""Recording module calls."""

import pytest
import torch
from torch import nn

from mmkd.errors import ConfigError
from mmkd.models.taps import Taps, find_module, tensors


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))


def test_records_inside_the_block_only():
    model = net()
    with Taps(model, ['2'], 'student', inputs=['2']) as taps:
        out = model(torch.ones(3, 4))
    model(torch.zeros(3, 4))
    (call,) = taps['2'].calls
    assert call.output is out
    assert call.args[0].shape == (3, 4)
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_are_removed_when_the_model_fails():
    model = net()
    with pytest.raises(RuntimeError):
        with Taps(model, ['0'], 'student'):
            model(torch.ones(3, 5))
    assert not model[0]._forward_hooks


def test_inputs_are_kept_only_where_asked_for():
    model = net()
    with Taps(model, ['2'], 'teacher') as taps:
        model(torch.ones(3, 4))
    assert taps['2'].calls[0].args == ()


def test_recorded_values_are_the_models_own():
    model = net()
    with Taps(model, ['2'], 'student') as taps:
        model(torch.ones(3, 4))
    taps['2'].outputs()[0].sum().backward()
    assert model[0].weight.grad is not None


def test_what_ran_without_gradients_does_not_count_beside_what_ran_with_them():
    """As a sampler's questions do not, of which no loss is made."""
    model = net()
    with Taps(model, ['2'], 'student') as taps:
        with torch.no_grad():
            model(torch.ones(3, 4)), model(torch.ones(2, 4))
        assert [len(output) for output in taps['2'].outputs()] == [3, 2]
        trained = model(torch.ones(5, 4))
        with torch.no_grad():
            model(torch.ones(3, 4))
    (output,) = taps['2'].outputs()
    assert output is trained


def test_calls_are_told_apart_by_what_they_are_about():
    model = net()
    with Taps(model, ['2'], 'teacher') as taps:
        outputs = []
        for about in ((), (2,), ()):
            taps.ask(about)
            outputs.append(model(torch.ones(3, 4)))
    assert taps['2'].outputs((2,))[0] is outputs[1]
    assert [output is outputs[1] for output in taps['2'].outputs()] == [False, False]
    with pytest.raises(ConfigError, match="teacher did not call '2'"):
        taps['2'].outputs((3,))


def test_a_value_overwritten_in_place_is_refused():
    model = net()
    with Taps(model, ['0'], 'student') as taps:
        model(torch.ones(3, 4))
    with pytest.raises(ConfigError, match="student module '0' was changed in place"):
        taps['0'].outputs()


class Head(nn.Module):
    """Exchanges what is in the list that it put out, as FSAF's loss does."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return [self.layer(x)]

    def loss(self, x):
        outputs = self(x)
        outputs[0] = outputs[0].clamp(min=1)
        return outputs[0].sum()


def test_a_list_that_changes_later_is_as_it_was_put_out():
    model = nn.ModuleDict(dict(head=Head()))
    with Taps(model, ['head', 'head.layer'], 'student') as taps:
        model['head'].loss(torch.ones(3, 4))
    (output,) = taps['head'].outputs()
    assert output is taps['head.layer'].outputs()[0]


class InPlace(nn.Module):
    """Overwrites what modules at the top and below it put out."""

    def __init__(self):
        super().__init__()
        self.stem, self.body = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4))

    def forward(self, x):
        return self.body(self.stem(x).relu_()).relu_()


@pytest.mark.parametrize(
    'name, advice',
    [
        ('stem', 'tap that later module instead'),
        ('body', 'that later module, or one in it: body.0, instead'),
        ('body.0', "that later module or 'body' instead"),
    ],
)
def test_what_is_advised_in_place_of_such_a_module_exists(name, advice):
    model = InPlace()
    with Taps(model, [name], 'student') as taps:
        model(torch.ones(3, 4))
    with pytest.raises(ConfigError, match=advice):
        taps[name].outputs()


def test_a_module_that_was_not_called_is_named():
    with Taps(net(), ['2'], 'teacher') as taps:
        pass
    with pytest.raises(ConfigError, match="teacher did not call '2'"):
        taps['2'].outputs()


def test_an_unknown_name_lists_the_closest():
    model = nn.ModuleDict(dict(backbone=net(), bbox_head=net()))
    with pytest.raises(ConfigError, match="no module 'bbox_haed'; closest: bbox_head"):
        find_module(model, 'bbox_haed', 'student')


def test_nested_outputs_are_flattened():
    first, second = torch.zeros(1), torch.zeros(2)
    assert tensors(([first], dict(a=second), None)) == [first, second]


def test_what_was_compiled_is_recorded():
    """A graph's outputs have versions of their own."""
    eager, compiled = net(), net()
    compiled.forward = torch.compile(compiled.forward, backend='aot_eager')
    for images in torch.randn(2, 3, 4):
        seen = []
        for model in (eager, compiled):
            with Taps(model, ['1', '2'], 'student', inputs=['2']) as taps:
                model(images)
            model.zero_grad()
            (outputs,) = taps['1'].outputs()
            (outputs.sum() + taps['2'].outputs()[0].sum()).backward()
            gradient = model[0].weight.grad
            seen.append([outputs, *taps['2'].outputs(), *taps['2'].calls[0].args])
            seen[-1].append(gradient.clone())
        for one, other in zip(*seen):
            torch.testing.assert_close(one, other)
