"""The digits: what they hold, that they repeat, and that they survive a kill."""

import json
import multiprocessing
import os
import shutil
import time

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from pycocotools.coco import COCO
from sklearn.datasets import load_digits

from mmkd.datasets import digit_scenes, make_digits
from mmkd.errors import ConfigError, DamagedError, DataError, MMKDError, OutputError
from mmkd.registry import DATASETS

SMALL = dict(num_train=12, num_val=6)


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def annotations(root, split):
    return json.loads((root / f'annotations/instances_{split}.json').read_text())


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    return make_digits(tmp_path_factory.mktemp('data') / 'digits', **SMALL)


def test_same_seed_same_bytes_other_seed_other(digits, tmp_path):
    assert contents(make_digits(tmp_path / 'a', **SMALL)) == contents(digits)
    other = contents(make_digits(tmp_path / 'b', **SMALL, seed=1))
    default = contents(digits)
    assert other.keys() == default.keys()
    assert all(other[name] != default[name] for name in default)


def test_more_scenes_leave_the_first_ones_alone(digits, tmp_path):
    more = contents(make_digits(tmp_path / 'a', num_train=14, num_val=6))
    fewer = contents(digits)
    assert len(more) == len(fewer) + 2
    assert all(more[name] == fewer[name] for name in fewer if name.endswith('png'))


def test_splits_share_no_digit_and_labels_are_true(tmp_path):
    root = make_digits(tmp_path / 'digits', num_train=300, num_val=100)
    used = {}
    for split in ('train', 'val'):
        boxes = annotations(root, split)['annotations']
        used[split] = {box['digit_index'] for box in boxes}
        truth = load_digits().target
        assert all(truth[b['digit_index']] == b['category_id'] for b in boxes)
        assert {box['category_id'] for box in boxes} == set(range(10))
    assert used['train'].isdisjoint(used['val'])


def test_what_is_held_out_is_of_the_training_digits(digits, tmp_path):
    root = make_digits(tmp_path / 'digits', num_train=40, num_val=40, hold_out=True)
    used = {
        split: {box['digit_index'] for box in annotations(root, split)['annotations']}
        for split in ('train', 'val')
    }
    assert max(used['train']) < 1078 <= min(used['val'])
    assert max(used['val']) < 1438  # where the digits of validation begin
    with pytest.raises(DataError, match='another num_train, num_val, hold_out;'):
        make_digits(root, **SMALL)


def test_coco_reads_it_and_boxes_lie_inside(digits):
    for split, count in (('train', 12), ('val', 6)):
        coco = COCO(str(digits / f'annotations/instances_{split}.json'))
        assert len(coco.getImgIds()) == count
        names = [category['name'] for category in coco.loadCats(coco.getCatIds())]
        assert names == list('0123456789')
        assert 0 not in coco.getAnnIds()  # pycocotools reads 0 as "no match"
        for image in coco.loadImgs(coco.getImgIds()):
            pixels = cv2.imread(str(digits / split / image['file_name']))
            assert pixels.shape[:2] == (image['height'], image['width']) == (128, 128)
            boxes = coco.loadAnns(coco.getAnnIds(image['id']))
            assert 1 <= len(boxes) <= 7
            for box in boxes:
                x, y, w, h = box['bbox']
                assert x >= 0 and y >= 0 and x + w <= 128 and y + h <= 128
                assert w * h == box['area'] > 0


class NoNoise:
    """A generator that leaves the ground flat."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __getattr__(self, name):
        return getattr(self.rng, name)

    def normal(self, mean, std, shape):
        return np.zeros(shape)


def test_boxes_are_tight_to_the_ink():
    params = dict(size=128, num_digits=[1, 1], digit_size=[16, 48])
    glyphs = load_digits().images / 16
    for index in range(40):
        scene, [(digit, (x, y, w, h))] = digit_scenes._compose(
            NoNoise(index), glyphs, [index], params
        )
        assert digit == index
        ground = np.bincount(scene.ravel()).argmax()
        ys, xs = np.nonzero(scene != ground)
        assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (x, y, x + w, y + h)


def test_finished_is_reused_and_other_parameters_are_an_error(digits, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in digits.rglob('*')}
    make_digits(digits, **SMALL)
    assert before == {path: path.stat().st_mtime_ns for path in digits.rglob('*')}
    with pytest.raises(DataError, match='another seed; delete that folder'):
        make_digits(digits, **SMALL, seed=3)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/thesis.txt').write_text('')
    with pytest.raises(DataError, match='not a set of digits'):
        make_digits(tmp_path / 'mine')
    assert (tmp_path / 'mine/thesis.txt').exists()


def test_an_empty_folder_is_filled(digits, tmp_path):
    (tmp_path / 'digits').mkdir()
    make_digits(tmp_path / 'digits', **SMALL)
    assert contents(tmp_path / 'digits') == contents(digits)


def start(root, **params):
    process = multiprocessing.get_context('fork').Process(
        target=make_digits, args=(root,), kwargs=params
    )
    process.start()
    return process


def test_a_killed_generation_leaves_nothing_that_looks_whole(digits, tmp_path):
    root = tmp_path / 'digits'
    process = start(root, num_train=10**6)
    while not list(tmp_path.glob('.digits.part-*/train/*.png')):
        assert process.is_alive()
        time.sleep(0.05)
    process.kill()
    process.join()
    assert not root.exists()
    (left,) = tmp_path.glob('.digits.part-*')
    os.utime(left, (0, 0))  # old enough to be nobody's any more
    make_digits(root, **SMALL)
    assert contents(root) == contents(digits)
    assert [path.name for path in tmp_path.iterdir()] == ['digits']


def test_two_at_once_agree(digits, tmp_path):
    processes = [start(tmp_path / 'digits', **SMALL) for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert contents(tmp_path / 'digits') == contents(digits)
    assert [path.name for path in tmp_path.iterdir()] == ['digits']


def test_the_loser_of_a_race_takes_the_winners(digits, tmp_path, monkeypatch):
    root = tmp_path / 'digits'

    def overtaken(part, params):
        digit_scenes.write_scenes(part, params)
        shutil.copytree(digits, root)

    monkeypatch.setattr('mmkd.datasets.digits.write_scenes', overtaken)
    make_digits(root, **SMALL)
    assert contents(root) == contents(digits)
    assert [path.name for path in tmp_path.iterdir()] == ['digits']


@pytest.mark.parametrize(
    'params',
    [
        dict(num_train=0),
        dict(num_val=1.5),
        dict(seed=-1),
        dict(hold_out=1),
        dict(num_digits=3),
        dict(num_digits=(7, 3)),
        dict(digit_size=(16, 65)),
        dict(digit_size=(4, 8)),
        dict(digit_size=(16, 20, 24)),
    ],
)
def test_bad_values_are_one_sentence(params, tmp_path):
    with pytest.raises(ConfigError, match=next(iter(params))) as error:
        make_digits(tmp_path / 'digits', **params)
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'digits').exists()


def test_unwritable_place(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OutputError, match='cannot be written: .*/file is not a folder'):
        make_digits(tmp_path / 'file/digits')


@pytest.mark.parametrize('text', ['', '{"num_train"', '[]', '"digits"'])
def test_a_damaged_marker_is_named(tmp_path, text):
    make_digits(tmp_path / 'digits', **SMALL)
    (tmp_path / 'digits/digits.json').write_text(text)
    with pytest.raises(DamagedError, match='digits.json is damaged; delete'):
        make_digits(tmp_path / 'digits', **SMALL)


def test_registered_data_set_in_an_mmdet_pipeline(tmp_path):
    config = dict(
        type='mmkd.DigitsDataset',
        data_root=str(tmp_path / 'digits'),
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        digits=SMALL,
        pipeline=[
            dict(type='mmdet.LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True),
            dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_shape')),
        ],
    )
    dataset = DATASETS.build(config)
    assert len(dataset) == 12
    assert dataset.metainfo['classes'] == tuple('0123456789')
    batch = pseudo_collate([dataset[0], dataset[1]])
    assert batch['inputs'][0].shape == (3, 128, 128)
    boxes = batch['data_samples'][0].gt_instances
    truth = annotations(tmp_path / 'digits', 'train')['annotations']
    assert boxes.labels.tolist() == [
        box['category_id'] for box in truth if box['image_id'] == 0
    ]
    with pytest.raises(MMKDError, match='unknown colour; known are digit_size'):
        DATASETS.build(dict(config, digits=dict(colour=True)))
