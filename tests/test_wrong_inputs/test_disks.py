"""Disks that are full or read-only: one sentence, and what was whole stays whole."""

import shutil

import pytest

CLS, KD, PTH = (
    '{home}/classifier.py',
    '{home}/classifier_kd.py',
    '{home}/classifier.pth',
)
SCENES = '{home}/scenes/annotations/instances_val.json'
SMALL = ('--limit', '100', '--epochs', '1', '--input-size', '8', '--workers', '1')
#: The tool and its arguments; what it writes is called out.
WRITES = {
    'export': ('export_student', KD, PTH, '--out-dir', 'out'),
    'probe': (
        'linear_probe',
        CLS,
        PTH,
        '--dataset',
        'digits',
        *SMALL,
        '--cache',
        'cache',
        '--out',
        'out',
    ),
    'probe, its cache': (
        'linear_probe',
        CLS,
        PTH,
        '--dataset',
        'digits',
        *SMALL,
        '--cache',
        'out',
        '--out',
        'other',
    ),
    'report': ('report', '{home}/run', '--out', 'out/report.html'),
    'curves': ('analysis/curves', '{home}/run', '--out', 'out'),
    'errors': (
        'analysis/detection_errors',
        SCENES,
        'a=predictions.json',
        '--out',
        'out',
    ),
    'test': ('test', CLS, PTH, '--work-dir', 'work', '--out', 'out/predictions.pkl'),
    'benchmark': ('run_benchmark', CLS, '--seeds', '0', '--out', 'out'),
    'quickstart': ('quickstart', '--scale', '0.003', '--work-dir', 'out'),
    'train': ('train', CLS, '--work-dir', 'out'),
    'step cost': (
        'benchmarks/step_cost',
        KD,
        '--batch',
        '2',
        '--size',
        '32',
        '--rounds',
        '2',
        '--json',
        'out/cost.json',
    ),
}


@pytest.fixture
def here(tmp_path):
    (tmp_path / 'predictions.json').write_text('[]')
    return tmp_path


@pytest.mark.parametrize('case', WRITES)
def test_a_file_stands_where_a_folder_should(case, refused, here):
    (here / 'out').write_text('mine')
    refused('out', *WRITES[case])
    assert (here / 'out').read_text() == 'mine'


@pytest.mark.parametrize('case', WRITES)
def test_nobody_may_write_there(case, refused, here):
    (here / 'out').symlink_to('/proc/self')
    refused('out', *WRITES[case])


@pytest.mark.parametrize('case', ['export', 'report', 'curves', 'errors', 'train'])
def test_the_disk_is_full(case, refused, here, full_disk):
    (here / 'out').mkdir()
    with full_disk(2000):
        outcome = refused.attempt(*WRITES[case])
    assert outcome.kind == 'sentence', outcome
    assert 'out' in outcome.text
    assert not [path for path in here.glob('out/*.p*') if path.stat().st_size < 2001]


@pytest.mark.parametrize('case', ['export', 'report', 'curves'])
def test_what_was_whole_stays_whole(case, refused, here, full_disk):
    assert refused.attempt(*WRITES[case]).kind == 'done'
    before = {path: path.read_bytes() for path in here.glob('out/*')}
    with full_disk(2000):
        refused.attempt(*WRITES[case])
    assert before == {path: path.read_bytes() for path in here.glob('out/*')}
    shutil.rmtree(here / 'out')


def test_no_report_is_written_over_a_config(refused, here):
    (here / 'mine.py').write_text('mine')
    refused('mine.py', 'report', '{home}/run', '--out', here / 'mine.py')
    assert (here / 'mine.py').read_text() == 'mine'
