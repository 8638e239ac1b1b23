"""What fails in a DataLoader while training is one sentence, with the file's name."""

import multiprocessing

import pytest
from mmengine.runner import Runner

from mmkd.engine.checks.opening import open_data, reading
from mmkd.errors import DataError
from mmkd.registry import TRANSFORMS

ERRORS = dict(foreign=KeyError('gt_masks'), own=DataError('cut it in two.'))


@TRANSFORMS.register_module()
class Breaks:
    """A step of a pipeline that fails in its second image."""

    def __init__(self, how):
        self.error, self.left = ERRORS[how], 2

    def __call__(self, results):
        self.left -= 1
        if not self.left:
            raise self.error
        return results


@pytest.fixture
def trained(coco):
    """Train on four images, with a change after the data were looked at."""

    def train(change=lambda: None, workers=0, breaks=None):
        cfg = coco()
        cfg.train_dataloader.num_workers = workers
        if breaks:
            step = dict(type='mmkd.Breaks', how=breaks)
            cfg.train_dataloader.dataset.pipeline.insert(0, step)
        cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
        runner = Runner.from_cfg(cfg)
        open_data(runner)
        change()
        with pytest.raises(Exception) as caught, reading(runner):
            runner.train()
        return caught.value

    yield train
    for worker in multiprocessing.active_children():
        worker.terminate()  # PyTorch waits five seconds for those of a failed loader


@pytest.mark.parametrize('workers, how', [(0, 'missing'), (0, 'empty'), (1, 'empty')])
def test_an_image_that_breaks_later(trained, tmp_path, workers, how):
    path = tmp_path / '0.png'
    change = path.unlink if how == 'missing' else lambda: path.write_bytes(b'')
    error = trained(change, workers)
    assert isinstance(error, DataError)
    assert f'{path} is missing or empty' in str(error)


@pytest.mark.parametrize('workers', [0, 1])
def test_a_step_that_fails(trained, workers):
    error = trained(workers=workers, breaks='foreign')
    assert isinstance(error, DataError)
    assert "cannot be prepared (KeyError: 'gt_masks')" in str(error)
    assert '\n' not in str(error)


def test_own_sentences_pass(trained):
    error = trained(workers=1, breaks='own')
    assert isinstance(error, DataError)
    assert str(error).rstrip().endswith('cut it in two.')


def test_what_fails_elsewhere_stays():
    with pytest.raises(KeyError, match='elsewhere'), reading(None):
        raise KeyError('elsewhere')
