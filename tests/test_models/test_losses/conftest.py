"""The authors' figures, and made-up inputs for the tests of all losses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

CASES = json.loads((Path(__file__).parent / 'golden.json').read_text())['cases']


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


def pytest_configure(config):
    config.addinivalue_line('markers', 'golden(method): run with each of its cases')


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker('golden')
    if marker is not None:
        cases = [case for case in CASES if case['method'] == marker.args[0]]
        assert cases, f'no golden case of {marker.args[0]!r}'
        metafunc.parametrize('golden', map(Golden, cases), ids=map(_name, cases))


def _name(case):
    values = ','.join(f'{key}={value}' for key, value in case['params'].items())
    return f'{values}-seed{case["inputs"]["seed"]}'.lstrip('-')
