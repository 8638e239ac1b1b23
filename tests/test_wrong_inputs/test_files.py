"""Files that are damaged: checkpoints, logs and results."""

import pickle
import shutil

import pytest
import torch


def weights(home):
    return torch.load(home / 'classifier.pth', weights_only=False)


def changed(function):
    """Save a checkpoint whose weights went through a function."""

    def write(path, home):
        checkpoint = weights(home)
        checkpoint['state_dict'] = function(checkpoint['state_dict'])
        torch.save(checkpoint, path)

    return write


def one(function):
    """Change one of the weights."""

    def change(state):
        name = next(n for n, v in state.items() if v.ndim == 4)
        return dict(state, **{name: function(state[name])})

    return changed(change)


def raw(content):
    return lambda path, home: path.write_bytes(content)


def saved(value):
    return lambda path, home: torch.save(value, path)


def cut(length):
    def write(path, home):
        path.write_bytes((home / 'classifier.pth').read_bytes()[:length])

    return write


def flipped(path, home):
    data = bytearray((home / 'classifier.pth').read_bytes())
    for place in range(200, 2000, 7):
        data[place] ^= 255
    path.write_bytes(bytes(data))


class Code:
    def __reduce__(self):
        return print, ('this was run',)


def trim(prefix):
    return changed(lambda s: {k[len(prefix) :]: v for k, v in s.items()})


def only(part):
    return changed(lambda s: {k: v for k, v in s.items() if k.startswith(part)})


#: What is wrong: words of the sentence, and what writes the file.
CHECKPOINTS = {
    'empty': ('wrong', raw(b'')),
    'text': ('wrong', raw(b'no checkpoint')),
    'a page of HTML': ('wrong', raw(b'<!DOCTYPE html><html>not found</html>')),
    'a pointer of Git LFS': (
        'wrong',
        raw(b'version https://git-lfs.github.com/spec/v1\n'),
    ),
    'the first 100 bytes': ('wrong', cut(100)),
    'all but the last 100 bytes': ('wrong', cut(-100)),
    'the first half': ('wrong', cut(300000)),
    'bytes flipped': ('wrong', flipped),
    'a pickle of code': ('wrong.*print', saved(dict(state_dict=Code()))),
    'a bare pickle': ('wrong', raw(pickle.dumps(dict(a=1)))),
    'a tensor': ('wrong', saved(torch.zeros(3))),
    'a list': ('wrong', saved([1, 2])),
    'a number': ('wrong', saved(3)),
    'an empty dict': ('wrong', saved({})),
    'no tensors': ('wrong', saved(dict(state_dict=dict(a=1, b='x')))),
    'weights that are text': ('wrong', saved(dict(state_dict='weights'))),
    'none of the weights': ('wrong', changed(lambda s: {'x': torch.zeros(2)})),
    'half of the weights': (
        'wrong',
        changed(lambda s: dict(list(s.items())[: len(s) // 2])),
    ),
    'the backbone alone': ('wrong', only('backbone.')),
    'the head alone': ('wrong', only('head.')),
    'names without backbone': ('wrong', trim('backbone.')),
    'names in capitals': (
        'wrong',
        changed(lambda s: {k.upper(): v for k, v in s.items()}),
    ),
    'a weight of nan': ('wrong.*(nan|finite)', one(lambda w: w * float('nan'))),
    'a weight of inf': ('wrong.*(inf|finite)', one(lambda w: w + float('inf'))),
    'a weight of another shape': ('wrong', one(lambda w: w[:1])),
    'a weight without numbers': ('wrong', one(lambda w: w[:0])),
    'a weight of integers': ('wrong', one(lambda w: w.long())),
    'a complex weight': ('wrong', one(lambda w: w.to(torch.complex64))),
    'a sparse weight': ('wrong', one(lambda w: w.to_sparse())),
    'a weight that is text': ('wrong', one(lambda w: 'weight')),
    'a weight that is None': ('wrong', one(lambda w: None)),
    'other classes': (
        'wrong|class',
        lambda path, home: torch.save(
            dict(weights(home), meta=dict(dataset_meta=dict(classes=('x', 'y', 'z')))),
            path,
        ),
    ),
}


@pytest.mark.parametrize('case', CHECKPOINTS)
def test_a_teachers_checkpoint(case, train, home, tmp_path):
    words, write = CHECKPOINTS[case]
    write(tmp_path / 'wrong.pth', home)
    text = f'model = dict(teacher=dict(checkpoint={str(tmp_path / "wrong.pth")!r}))'
    train(words, 'classifier_kd.py', text)


#: As of a teacher; but its classes are nobody's business, and what of the name it has
#: lost, the tool may find.
EXPORTED = [case for case in CHECKPOINTS if case != 'other classes']


@pytest.mark.parametrize('case', EXPORTED)
def test_a_checkpoint_to_export(case, refused, home, tmp_path):
    words, write = CHECKPOINTS[case]
    write(tmp_path / 'wrong.pth', home)
    out = tmp_path / 'out'
    refused(
        words,
        'export_student',
        '{home}/classifier_kd.py',
        tmp_path / 'wrong.pth',
        '--out-dir',
        out,
    )
    assert not list(out.glob('*'))


@pytest.fixture
def run(home, tmp_path):
    shutil.copytree(home / 'run', tmp_path / 'run')
    return tmp_path / 'run'


def scalars(run):
    return next(run.glob('2*/vis_data/scalars.json'))


def half_line(run):
    with open(scalars(run), 'a') as file:
        file.write('{"loss": 1.0, "st')


def no_step(run):
    scalars(run).write_text('{"loss": 1.0}\n')


def no_json(run):
    scalars(run).write_text('loss 1.0\n')


def binary(run):
    scalars(run).write_bytes(b'\xff\xfe\x00\n')


def a_list(run):
    scalars(run).write_text('[1, 2]\n')


def nothing(run):
    scalars(run).write_text('')


LOGS = dict(
    no_step=no_step, no_json=no_json, binary=binary, a_list=a_list, nothing=nothing
)


@pytest.mark.parametrize('case', LOGS)
def test_curves_of_a_damaged_log(case, refused, run, tmp_path):
    LOGS[case](run)
    refused('scalars|log', 'analysis/curves', run, '--out', tmp_path / 'out')


@pytest.mark.parametrize('case', LOGS)
def test_a_report_of_a_damaged_log(case, refused, run, tmp_path):
    LOGS[case](run)
    refused('scalars', 'report', run, '--out', tmp_path / 'r.html')


def test_a_half_line_at_the_end_is_passed_over(attempt, run, tmp_path):
    half_line(run)
    assert attempt('analysis/curves', run, '--out', tmp_path / 'out').kind == 'done'


TRUTH = '{home}/scenes/annotations/instances_val.json'
PREDICTIONS = {
    'empty': b'',
    'half': b'[{"image_id": 1, "cat',
    'a dict': b'{}',
    'a number': b'3',
    'no text': b'\xff\xfe\x00',
    'a list of numbers': b'[1, 2, 3]',
    'no boxes': b'[{"image_id": 1, "category_id": 1, "score": 0.5}]',
    'no scores': b'[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]',
    'scores of text': (
        b'[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": "x"}]'
    ),
    'scores of nan': (
        b'[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": NaN}]'
    ),
    'boxes of three': (
        b'[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3], "score": 0.5}]'
    ),
    'other images': (
        b'[{"image_id": 9999, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]'
    ),
    'other categories': (
        b'[{"image_id": 1, "category_id": 999, "bbox": [1, 2, 3, 4], "score": 0.5}]'
    ),
}


@pytest.mark.parametrize('case', PREDICTIONS)
def test_damaged_predictions(case, refused, tmp_path):
    (tmp_path / 'wrong.json').write_bytes(PREDICTIONS[case])
    refused(
        'wrong',
        'analysis/detection_errors',
        TRUTH,
        f'a={tmp_path}/wrong.json',
        '--out',
        tmp_path / 'out',
    )


RESULTS = {
    'empty': b'',
    'half': b'{"format": 1, "rows": {',
    'a list': b'[]',
    'a number': b'3',
    'no text': b'\xff\xfe\x00',
    'nothing in it': b'{}',
    'another version': b'{"format": 999, "rows": {}}',
}


@pytest.mark.parametrize('case', RESULTS)
def test_a_report_of_damaged_results(case, refused, tmp_path):
    folder = tmp_path / 'results'
    folder.mkdir()
    (folder / 'linear_probe.json').write_bytes(RESULTS[case])
    refused('result', 'report', folder, '--out', tmp_path / 'r.html')


@pytest.mark.parametrize('case', RESULTS)
def test_damaged_cells_of_a_benchmark(case, refused, tmp_path):
    folder = tmp_path / 'out/kd_a_b/seed0'
    folder.mkdir(parents=True)
    (folder / 'cell.json').write_bytes(RESULTS[case])
    refused('cell', 'run_benchmark', '--report-only', '--out', tmp_path / 'out')


@pytest.mark.parametrize('case', RESULTS)
def test_damaged_settings_of_a_quickstart(case, attempt, home, tmp_path):
    """They are made again, or it says what to do."""
    attempt.places['tmp'] = tmp_path
    (tmp_path / 'settings.json').write_bytes(RESULTS[case])
    arguments = ['--scale', '0.003', '--work-dir', tmp_path]
    assert attempt('quickstart', *arguments).kind in ('training', 'sentence')


#: What is wrong: words of the sentence, what is done to a finished training.
def broken(run, home):
    (run / 'epoch_1.pth').write_bytes(b'')


def renamed(run, home):
    shutil.copy(home / 'classifier.pth', run / 'epoch_1.pth')


def torn(run, home):
    data = (run / 'epoch_1.pth').read_bytes()
    (run / 'epoch_1.pth').write_bytes(data[: len(data) // 2])


RUNS = dict(broken=broken, renamed=renamed, torn=torn)


@pytest.mark.parametrize('case', RUNS)
def test_resuming_where_no_checkpoint_is_whole(case, refused, run, home):
    RUNS[case](run, home)
    config = '{home}/classifier_kd.py'
    options = ('--cfg-options', 'train_cfg.max_epochs=2')
    refused('epoch_1', 'train', config, '--work-dir', run, '--resume', *options)


@pytest.mark.parametrize('content', [b'', b'/no/such/epoch_9.pth', b'\xff\xfe'])
def test_resuming_needs_no_name_of_the_last_checkpoint(content, attempt, run, home):
    (run / 'last_checkpoint').write_bytes(content)
    arguments = ['--work-dir', run, '--resume']
    options = ('--cfg-options', 'train_cfg.max_epochs=2')
    outcome = attempt('train', '{home}/classifier_kd.py', *arguments, *options)
    assert outcome.kind == 'training', outcome
    log = ''.join(path.read_text() for path in run.glob('2*/*.log'))
    assert 'epoch: 1' in log or 'epoch_1.pth' in log


#: What differs from the checkpoint: words of the sentence, options.
CHANGES = {
    'the depth': ('depth', 'model.student.backbone.depth=34'),
    'the classes': ('num_classes|class', 'model.student.head.num_classes=4'),
    'the learning rate': ('lr', 'optim_wrapper.optimizer.lr=0.5'),
    'the momentum': ('momentum', 'optim_wrapper.optimizer.momentum=0.1'),
    'the optimizer': ('AdamW|optimizer', 'optim_wrapper.optimizer.type=AdamW'),
    'the schedule': ('milestones|param_scheduler', 'param_scheduler.milestones=[7]'),
    'a loss with something to learn': (
        'loss_fit',
        'model.losses.loss_fit.type=FitNetLoss',
        'model.losses.loss_fit.on=backbone',
        'model.losses.loss_fit.adapter=conv',
    ),
}


@pytest.mark.parametrize('case', CHANGES)
def test_resuming_what_was_changed(case, refused, run):
    words, *options = CHANGES[case]
    options = ['train_cfg.max_epochs=2', *options]
    arguments = ['--work-dir', run, '--resume', '--cfg-options', *options]
    refused(words, 'train', '{home}/classifier_kd.py', *arguments)


def test_nothing_of_another_folder_is_resumed(attempt, run, home):
    """A work dir that was copied, with the checkpoint's name in the old place."""
    (run / 'last_checkpoint').write_text(str(home / 'run/epoch_1.pth'))
    before = set(run.glob('2*/*.log'))
    arguments = ['--work-dir', run, '--resume']
    options = ('--cfg-options', 'train_cfg.max_epochs=2')
    attempt('train', '{home}/classifier_kd.py', *arguments, *options)
    (log,) = set(run.glob('2*/*.log')) - before
    assert str(run / 'epoch_1.pth') in log.read_text()
    assert str(home / 'run/epoch_1.pth') not in log.read_text()
