"""Target data sets by name, and subsets of them."""

import numpy as np
import pytest
from mmpretrain.datasets import BaseDataset
from PIL import Image

from mmkd.datasets import read_image
from mmkd.errors import ConfigError, DataError
from mmkd.registry import DATASETS
from mmkd.transfer import targets
from mmkd.transfer.targets import TARGETS, load_target, subset


@DATASETS.register_module()
class ToyLabels(BaseDataset):
    """Labels only; the classes of its test part lack one and have another."""

    def __init__(self, split, counts=(40, 20, 4), by_class=False, **kwargs):
        last = 'owl' if split == 'train' else 'emu'
        self.counts, self.by_class = counts, by_class
        classes = ('cat', 'dog', last)
        super().__init__(ann_file='', metainfo=dict(classes=classes), **kwargs)

    def load_data_list(self):
        labels = np.repeat(np.arange(len(self.counts)), self.counts)
        order = np.random.default_rng(1).permutation(len(labels))
        order = np.sort(order) if self.by_class else order
        return [
            dict(gt_label=int(label), name=i) for i, label in enumerate(labels[order])
        ]


def names(dataset):
    return [dataset.get_data_info(row)['name'] for row in range(len(dataset))]


def counts(dataset):
    return np.bincount(dataset.get_gt_labels(), minlength=3).tolist()


def test_digits_need_no_root():
    target = load_target('digits')
    assert target.name == 'digits' and target.classes == tuple('0123456789')
    assert (len(target.train), len(target.val)) == (1438, 359)
    assert len(target.val.pipeline.transforms) == 0
    assert read_image(target.val.get_data_info(0)).shape == (32, 32, 3)


def test_image_folders_from_a_root(tmp_path):
    for split, number in (('train', 3), ('val', 1)):
        for name in ('church', 'tench'):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(number):
                path = tmp_path / split / name / f'{index}.png'
                Image.new('L', (4, 4)).save(path)
    target = load_target('image_folders', str(tmp_path))
    assert target.classes == ('church', 'tench')
    assert target.train.get_gt_labels().tolist() == [0, 0, 0, 1, 1, 1]
    assert target.val.get_gt_labels().tolist() == [0, 1]


@pytest.mark.parametrize('name', sorted(set(TARGETS) - {'digits'}))
def test_all_others_need_a_root(name):
    with pytest.raises(ConfigError, match=f'{name} needs data_root'):
        load_target(name)


@pytest.mark.parametrize('name', ['tiny_imagenet', 'stl10', 'image_folders'])
def test_all_targets_are_registered(name, tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        load_target(name, str(tmp_path))


@pytest.mark.parametrize('name', ['cifar10', 'cifar100'])
def test_check_md5_reaches_cifar(name, tmp_path):
    folder = dict(cifar10='cifar-10-batches-py', cifar100='cifar-100-python')[name]
    first = dict(cifar10='data_batch_1', cifar100='train')[name]
    (tmp_path / folder).mkdir()
    (tmp_path / folder / first).write_bytes(b'no pickle')
    with pytest.raises(DataError, match='set check_md5=False'):
        load_target(name, str(tmp_path))
    with pytest.raises(DataError, match='is missing beside'):
        load_target(name, str(tmp_path), check_md5=False)


def test_unknown_names_get_the_closest():
    with pytest.raises(ConfigError, match='known: tiny_imagenet, .*mean tiny_imagenet'):
        load_target('tinyimagenet')


def test_parts_of_other_classes(monkeypatch):
    monkeypatch.setitem(targets.TARGETS, 'toy', ('ToyLabels', ('train', 'test'), ()))
    with pytest.raises(DataError) as caught:
        load_target('toy')
    message = str(caught.value)
    assert 'owl only in toy (train), emu only in toy (test)' in message


def test_subset_has_each_class_in_its_share():
    data = ToyLabels('train')
    part = subset(data, 16)
    assert counts(part) == [10, 5, 1]
    assert names(part) == sorted(names(part))  # in the order of the whole
    assert names(data) == list(range(64))  # which is as it was
    whole = dict(zip(names(data), data.get_gt_labels()))
    assert [whole[name] for name in names(part)] == part.get_gt_labels().tolist()


def test_subset_is_the_same_each_time_and_another_with_another_seed():
    data = ToyLabels('train')
    assert names(subset(data, 16)) == names(subset(data, 16))
    assert names(subset(data, 16)) != names(subset(data, 16, seed=1))
    assert set(names(subset(data, 8))) < set(names(subset(data, 16)))


def test_subset_of_fewer_than_the_classes():
    data = ToyLabels('train', counts=(5, 5, 5), by_class=True)
    assert sorted(counts(subset(data, 2))) == [0, 1, 1]
    drawn = {tuple(counts(subset(data, 2, seed=seed))) for seed in range(20)}
    assert len(drawn) == 3  # any class may be left out
    assert counts(subset(ToyLabels('train'), 1)) == [1, 0, 0]  # the largest stays


@pytest.mark.parametrize('number', [64, 1000])
def test_subset_of_all(number):
    assert names(subset(ToyLabels('train'), number)) == list(range(64))


def test_subset_of_a_list_that_is_not_serialised():
    data = ToyLabels('train', serialize_data=False)
    assert names(subset(data, 16)) == names(subset(ToyLabels('train'), 16))
    assert len(data) == 64


def test_subset_of_nothing():
    with pytest.raises(ConfigError, match='number=0'):
        subset(ToyLabels('train'), 0)


def test_subset_keeps_its_images():
    train = load_target('digits').train
    part = subset(train, 30)
    assert np.bincount(part.get_gt_labels()).tolist() == [3] * 10
    images = {read_image(train.get_data_info(i)).tobytes() for i in range(len(train))}
    assert all(read_image(part.get_data_info(i)).tobytes() in images for i in range(30))
