"""The authors' figures, and made-up inputs for the tests of all losses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmkd.models.adapters import ConvAdapter

HERE = Path(__file__).parent
CASES = [
    case
    for name in ('golden.json', 'golden_detection.json')
    for case in json.loads((HERE / name).read_text())['cases']
]


class Golden:
    """One case of ``golden.json``: its inputs in float64, and what must come out."""

    def __init__(self, case):
        self.params = case['params']
        self.expected = case
        inputs = case['inputs']
        random = np.random.RandomState(inputs['seed'])
        self.labels = None
        if inputs['kind'] in ('logits', 'patch_logits'):
            shape = [
                inputs[key] for key in ('batch', 'classes', 'cells') if key in inputs
            ]
            student = random.randn(*shape) * inputs['student_scale']
            teacher = random.randn(*shape) * inputs['teacher_scale']
            labels = random.randint(0, inputs['classes'], size=inputs['batch'])
            self.labels = torch.tensor(labels)
        else:
            student = random.randn(*inputs['student_shape'])
            teacher = random.randn(*inputs['teacher_shape'])
        self.student = torch.tensor(student, requires_grad=True)
        self.teacher = torch.tensor(teacher)

    def check(self, value):
        """Assert that a loss of ``student`` and its gradient are the authors'."""
        value.backward()
        gradient = self.student.grad.flatten()
        expected = self.expected
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(expected['loss'], rel=1e-6)
        assert gradient.norm().item() == pytest.approx(expected['grad_l2'], rel=1e-6)
        assert gradient[:4].tolist() == pytest.approx(expected['grad_head'], rel=1e-6)


class Drawn:
    """One case of ``golden_detection.json``: tensors by name, levels of either side."""

    def __init__(self, case):
        self.params = case['params']
        self.expected = case
        inputs = case['inputs']
        random = np.random.RandomState(inputs['seed'])
        self.tensors = {
            spec['name']: torch.tensor(_draw(random, **spec))
            for spec in inputs['draws']
        }
        names = inputs['student']
        self.student = [self.tensors[name].requires_grad_() for name in names]
        self.teacher = [
            self.tensors[name.replace('student', 'teacher')] for name in names
        ]

    def state(self, prefix):
        """What was drawn for a module, by the names of its own parameters."""
        return {
            name[len(prefix) :]: tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }

    def adapted(self):
        """The student's levels after the adapter that was drawn, and that, if any."""
        state = self.state('align.')
        if not state:
            return self.student, {}
        adapter = ConvAdapter(*state['weight'].shape[1::-1]).double()
        adapter.load_state_dict(state)
        return list(map(adapter, self.student)), {'align.': adapter}

    def check(self, value, learned=None):
        """Assert that a loss and its gradients are the authors'.

        ``learned`` holds modules by the prefix of their drawn names.
        """
        value.backward()
        expected = self.expected
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(expected['loss'], rel=1e-6)
        alone = dict(l2=expected.get('grad_l2'), head=expected.get('grad_head'))
        each = expected.get('grads', {'': alone}).values()
        for tensor, wanted in zip(self.student, each):
            gradient = tensor.grad.flatten()
            assert gradient.norm().item() == pytest.approx(wanted['l2'], rel=1e-6)
            assert gradient[:4].tolist() == pytest.approx(wanted['head'], rel=1e-6)
        norms = {
            prefix + name: parameter.grad.norm().item()
            for prefix, module in (learned or {}).items()
            for name, parameter in module.named_parameters()
        }
        wanted = expected.get('learned_grad_l2', {})
        # A bias in front of a softmax has no gradient, but for what rounding leaves.
        assert norms == pytest.approx(wanted, rel=1e-6, abs=1e-18)


def _draw(random, op, name, shape=(), scale=1.0, shift=0.0, count=0, **image):
    if op != 'boxes':
        return getattr(random, op)(*shape) * scale + shift
    size = np.array([image['width'], image['height']] * 2)
    drawn = random.rand(count, 4) * size
    corner = 0.6 * drawn[:, :2]
    return np.concatenate([corner, corner + 4 + 0.35 * drawn[:, 2:]], axis=1)


def pytest_configure(config):
    config.addinivalue_line('markers', 'golden(method): run with each of its cases')


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker('golden')
    if marker is not None:
        cases = [case for case in CASES if case['method'] == marker.args[0]]
        assert cases, f'no golden case of {marker.args[0]!r}'
        kind = Drawn if cases[0]['inputs']['kind'] == 'draws' else Golden
        metafunc.parametrize('golden', map(kind, cases), ids=map(_name, cases))


def _name(case):
    values = ','.join(f'{key}={value}' for key, value in case['params'].items())
    return f'{values}-seed{case["inputs"]["seed"]}'.lstrip('-')
