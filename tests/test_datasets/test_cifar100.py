"""CIFAR-100 from files of any md5, in memory, in whole batches."""

import hashlib
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmpretrain.datasets.categories import CIFAR100_CATEGORIES

from mmkd.datasets import CIFAR100, ImageTensors
from mmkd.errors import ConfigError, DataError

PER_CLASS = 4


def write(root, **train):
    """Lay out a little CIFAR-100: four noise images a class and split."""
    folder = root / 'cifar-100-python'
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split in ('train', 'test'):
        labels = rng.permutation(np.repeat(np.arange(100), PER_CLASS)).tolist()
        images = rng.integers(256, size=(len(labels), 3072), dtype=np.uint8)
        entry = dict(data=images, fine_labels=labels, coarse_labels=labels)
        if split == 'train':
            entry.update(train)
        (folder / split).write_bytes(pickle.dumps(entry, protocol=2))
    return str(root)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp('cifar'))


def original(root, split):
    with open(f'{root}/cifar-100-python/{split}', 'rb') as file:
        entry = pickle.load(file)
    return entry['data'].reshape(-1, 3, 32, 32), entry['fine_labels']


def loader(root, batch_size=8, shuffle=True, **kwargs):
    source = dict(
        type='mmkd.CIFAR100', data_root=root, split='train', check_md5=False, **kwargs
    )
    spec = dict(
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=shuffle),
        collate_fn=dict(type='mmkd.keep_batch'),
        dataset=dict(type='mmkd.ImageTensors', dataset=source),
    )
    return Runner.build_dataloader(spec, seed=0)


@pytest.mark.parametrize('split', ['train', 'test'])
def test_reads_what_is_in_the_file(root, split):
    images, labels = original(root, split)
    data = CIFAR100(root, split, check_md5=False, pipeline=[])
    assert data.metainfo['classes'] == CIFAR100_CATEGORIES
    assert [info['gt_label'] for info in data] == labels
    read = np.stack([info['img'] for info in data]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(read, images)


def test_files_of_other_md5_are_refused_unless_told_so(root, caplog):
    with pytest.raises(DataError, match='check_md5=False') as error:
        CIFAR100(root, pipeline=[])
    md5 = hashlib.md5(open(f'{root}/cifar-100-python/train', 'rb').read())
    assert md5.hexdigest() in str(error.value)
    assert CIFAR100.train_list[0][1] in str(error.value)


def test_taking_them_is_said(root, capsys):
    from mmengine.logging import MMLogger

    MMLogger.get_instance('cifar', logger_name='cifar')
    CIFAR100(root, check_md5=False, pipeline=[])
    printed = capsys.readouterr()
    assert 'is not the official file' in printed.out + printed.err


class Evil:
    def __reduce__(self):
        return exec, ('raise SystemExit("code ran")',)


def test_code_in_a_file_is_not_run(tmp_path):
    with pytest.raises(DataError, match='GLOBAL builtins.exec'):
        CIFAR100(write(tmp_path, batch_label=Evil()), check_md5=False, pipeline=[])


def test_a_torn_file_is_named(tmp_path):
    root = write(tmp_path)
    path = tmp_path / 'cifar-100-python/train'
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match='no CIFAR-100 file'):
        CIFAR100(root, check_md5=False, pipeline=[])


def test_a_missing_part_is_named(tmp_path):
    root = write(tmp_path)
    (tmp_path / 'cifar-100-python/test').unlink()
    with pytest.raises(DataError, match='test is missing'):
        CIFAR100(root, check_md5=False, pipeline=[])


def test_no_data_and_no_network_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR100, 'url', 'http://127.0.0.1:9/cifar.tar.gz')
    with pytest.raises(DataError, match='cannot be fetched'):
        CIFAR100(str(tmp_path), pipeline=[])


def test_first_classes_and_a_fraction_of_each(root):
    images, labels = original(root, 'train')
    data = CIFAR100(root, check_md5=False, num_classes=7, fraction=0.5, pipeline=[])
    assert data.metainfo['classes'] == CIFAR100_CATEGORIES[:7]
    kept = [info['gt_label'] for info in data]
    assert Counter(kept) == dict.fromkeys(range(7), PER_CLASS // 2)
    for label in range(7):
        first = [i for i, other in enumerate(labels) if other == label][:2]
        actual = [info['img'] for info in data if info['gt_label'] == label]
        expected = images[first].transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(np.stack(actual), expected)


@pytest.mark.parametrize('fraction', [0.2, 0.5])
def test_first_and_last_part_share_no_image_and_miss_none(root, fraction):
    whole = CIFAR100(root, check_md5=False, pipeline=[])
    parts = [
        CIFAR100(root, check_md5=False, fraction=part, part=which, pipeline=[])
        for which, part in (('first', 1 - fraction), ('last', fraction))
    ]
    images = [{info['img'].tobytes() for info in data} for data in (whole, *parts)]
    assert images[1] | images[2] == images[0]
    assert not images[1] & images[2]
    # The last of each class, in the order of the file.
    of_class = [info['img'] for info in whole if info['gt_label'] == 3]
    last = [info['img'] for info in parts[1] if info['gt_label'] == 3]
    np.testing.assert_array_equal(last, of_class[len(of_class) - len(last) :])


@pytest.mark.parametrize(
    'wrong', [dict(num_classes=101), dict(fraction=0.0), dict(part='middle')]
)
def test_parts_out_of_range(root, wrong):
    with pytest.raises(ConfigError, match=f'{next(iter(wrong))}='):
        CIFAR100(root, check_md5=False, **wrong)


def test_batches_hold_every_image_once_an_epoch(root):
    images, labels = original(root, 'train')
    batches = list(loader(root, batch_size=64))
    assert [len(batch['inputs']) for batch in batches] == [64] * 6 + [16]
    inputs = torch.cat([batch['inputs'] for batch in batches])
    assert inputs.dtype == torch.uint8
    actual = [int(s.gt_label) for batch in batches for s in batch['data_samples']]
    key = {image.tobytes(): label for image, label in zip(images, labels)}
    assert [key.pop(image.numpy().tobytes()) for image in inputs] == actual
    assert not key


def test_order_is_the_samplers(root):
    def order(epoch):
        data = loader(root, batch_size=400)
        data.sampler.set_epoch(epoch)
        return next(iter(data))['inputs']

    assert torch.equal(order(0), order(0))
    assert not torch.equal(order(0), order(1))


def test_same_batch_as_the_pipeline_gives(root):
    source = dict(type='mmkd.CIFAR100', data_root=root, check_md5=False)
    data = DATASETS.build(dict(source, pipeline=[dict(type='mmpretrain.PackInputs')]))
    tensors = ImageTensors(source)
    for index in (0, 17):
        assert torch.equal(tensors[index]['inputs'], data[index]['inputs'])
        actual, expected = tensors[index]['data_samples'], data[index]['data_samples']
        assert torch.equal(actual.gt_label, expected.gt_label)
    assert tensors.metainfo == data.metainfo


class Ragged(torch.utils.data.Dataset):
    metainfo = {}

    def __init__(self, pipeline):
        pass

    def __len__(self):
        return 3

    def get_data_info(self, index):
        return dict(img=np.zeros((8 + index, 8, 3), np.uint8), gt_label=0)


def test_images_of_several_sizes_are_refused():
    with pytest.raises(DataError, match='differ in size'):
        ImageTensors(dict(type=Ragged))
