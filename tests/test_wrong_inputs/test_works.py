"""What is not wrong: the same configs and files as given to the tests beside this."""

import pytest


@pytest.mark.parametrize(
    'name', ['classifier', 'classifier_kd', 'detector', 'detector_kd']
)
def test_the_configs_train(name, attempt, tmp_path):
    attempt.places['tmp'] = tmp_path
    outcome = attempt('train', f'{{home}}/{name}.py', '--work-dir', '{tmp}/work')
    assert outcome.kind == 'training', outcome
