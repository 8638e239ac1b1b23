"""Data sets that features are carried over to: layouts, labels, damaged data."""

import pickle
import re
import shutil

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image
from sklearn.datasets import load_digits

from mmkd.datasets import (
    CIFAR10,
    STL10,
    DigitImages,
    ImageFolders,
    TinyImageNet,
    read_image,
)
from mmkd.engine.checks import check_data
from mmkd.errors import ConfigError, DataError

WNIDS = ['n03', 'n01', 'n02']  # as in wnids.txt: not sorted


def paint(path, grey):
    """Write an image (8, 8) of one grey, by which a test knows it again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (8, 8), (grey, grey, grey)).save(path, 'PNG')


def grey_of(wnid, number):
    return 50 * int(wnid[1:]) + number


@pytest.fixture
def tiny(tmp_path):
    """The official layout: 3 classes of 4 training and 2 validation images."""
    root = tmp_path / 'tiny-imagenet-200'
    for wnid in WNIDS:
        for number in range(4):
            path = root / 'train' / wnid / 'images' / f'{wnid}_{number}.JPEG'
            paint(path, grey_of(wnid, number))
        (root / 'train' / wnid / f'{wnid}_boxes.txt').write_text('a box')
    lines = []
    for number, wnid in enumerate(WNIDS + WNIDS[::-1]):
        paint(root / f'val/images/val_{number}.JPEG', grey_of(wnid, 10 + number))
        lines.append(f'val_{number}.JPEG\t{wnid}\t0\t0\t7\t7\n')
    (root / 'val/val_annotations.txt').write_text(''.join(lines))
    (root / 'wnids.txt').write_text('\n'.join(WNIDS) + '\n')
    (root / 'words.txt').write_text(
        'n01\ttench, Tinca tinca\nn09\tcar\nn02\tgoldfish\n'
    )
    return root


def reorganise(root, inner=''):
    """Move the validation images into a folder for each class."""
    for line in (root / 'val/val_annotations.txt').read_text().splitlines():
        name, wnid = line.split('\t')[:2]
        folder = root / 'val' / wnid / inner
        folder.mkdir(parents=True, exist_ok=True)
        (root / 'val/images' / name).rename(folder / name)
    (root / 'val/images').rmdir()


def rows(dataset):
    """The grey and the label of every sample, in order."""
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [(int(read_image(info)[0, 0, 0]), info['gt_label']) for info in infos]


def refusal(kind, *args, **kwargs):
    """The one sentence that building the data set ends with."""
    with pytest.raises(DataError) as caught:
        kind(*args, **kwargs)
    message = str(caught.value)
    assert '\n' not in message and message.endswith('.')
    return message


def test_tiny_imagenet_train(tiny):
    data = TinyImageNet(str(tiny))
    assert data.metainfo['classes'] == ('n01', 'n02', 'n03')
    assert data.metainfo['class_names'] == ('tench', 'goldfish', 'n03')
    expected = [(grey_of(f'n0{n + 1}', k), n) for n in range(3) for k in range(4)]
    assert rows(data) == expected
    assert data.get_gt_labels().tolist() == [label for _, label in expected]


@pytest.mark.parametrize('layout', ['official', 'folders', 'folders of images'])
@pytest.mark.parametrize('leftover', [True, False])
def test_tiny_imagenet_val_is_the_same_in_all_layouts(tiny, layout, leftover):
    if layout != 'official':
        reorganise(tiny, 'images' if 'of images' in layout else '')
        if leftover:
            (tiny / 'val/images').mkdir()
        else:
            (tiny / 'val/val_annotations.txt').unlink()
    data = TinyImageNet(str(tiny), split='val')
    assert data.metainfo['classes'] == ('n01', 'n02', 'n03')
    # val_1 and val_4 are of n01, val_2 and val_3 of n02, val_0 and val_5 of n03.
    assert rows(data) == [(61, 0), (64, 0), (112, 1), (113, 1), (160, 2), (165, 2)]


def test_tiny_imagenet_from_its_parent_and_without_lists(tiny):
    for name in ('wnids.txt', 'words.txt'):
        (tiny / name).unlink()
    for split in ('train', 'val'):
        data = TinyImageNet(str(tiny.parent), split=split)
        assert data.metainfo['classes'] == ('n01', 'n02', 'n03')
        assert data.metainfo['class_names'] == ('n01', 'n02', 'n03')
        assert rows(data) == rows(TinyImageNet(str(tiny), split=split))


def test_tiny_imagenet_in_a_config(tiny):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    spec = dict(type='mmkd.TinyImageNet', data_root=str(tiny), split='val')
    data = DATASETS.build(dict(spec, pipeline=pipeline, _scope_='mmpretrain'))
    assert data[2]['inputs'].shape == (3, 8, 8)
    assert data[2]['inputs'][0, 0, 0] == 112
    assert data[2]['data_samples'].gt_label.item() == 1


def test_tiny_imagenet_is_listed_without_opening_an_image(tiny):
    for path in tiny.rglob('*.JPEG'):
        path.write_bytes(b'')
    data = TinyImageNet(str(tiny))
    assert data.get_gt_labels().tolist() == [0] * 4 + [1] * 4 + [2] * 4
    with pytest.raises(DataError, match=r'n01_0\.JPEG cannot be read.* empty'):
        read_image(data.get_data_info(0))


def no_root(tiny):
    shutil.rmtree(tiny)


def no_val(tiny):
    shutil.rmtree(tiny / 'val')


def no_annotations(tiny):
    (tiny / 'val/val_annotations.txt').unlink()


def no_labels_at_all(tiny):
    shutil.move(tiny / 'val/images/val_0.JPEG', tiny / 'val/val_0.JPEG')
    shutil.rmtree(tiny / 'val/images')


def missing_image(tiny):
    (tiny / 'val/images/val_3.JPEG').unlink()


def unlabelled_image(tiny):
    paint(tiny / 'val/images/val_77.JPEG', 0)


def half_reorganised(tiny):
    (tiny / 'val/n01').mkdir()
    (tiny / 'val/images/val_1.JPEG').rename(tiny / 'val/n01/val_1.JPEG')


def torn_line(tiny):
    path = tiny / 'val/val_annotations.txt'
    path.write_text(path.read_text() + 'val_6.JP')


def named_twice(tiny):
    path = tiny / 'val/val_annotations.txt'
    path.write_text(path.read_text() + 'val_2.JPEG\tn01\t0\t0\t7\t7\n')


def other_annotations(tiny):
    path = tiny / 'val/val_annotations.txt'
    path.write_text(path.read_text().replace('n03', 'n04'))


def other_folders(tiny):
    reorganise(tiny)
    (tiny / 'val/n01').rename(tiny / 'val/n05')


def class_folder_without_image(tiny):
    reorganise(tiny)
    for path in (tiny / 'val/n02').iterdir():
        path.unlink()


VAL_DAMAGES = {
    no_root: 'tiny-imagenet-200/train is no folder',
    no_val: 'val is no folder',
    no_annotations: r'val_annotations\.txt .*is missing',
    no_labels_at_all: 'val has no labels',
    missing_image: r'names 1 that are missing \(val_3\.JPEG\)',
    unlabelled_image: r'lacks 1 \(val_77\.JPEG\)',
    half_reorganised: r'names 1 that are missing \(val_1\.JPEG\)',
    torn_line: "line 7: 'val_6.JP'",
    named_twice: r"line 7: 'val_2\.JPEG",
    other_annotations: 'n04 only in .*val, n03 only in .*wnids.txt',
    other_folders: 'n05 only in .*val, n01 only in .*wnids.txt',
    class_folder_without_image: 'no images .* in the class folders n02',
}


@pytest.mark.parametrize('damage', VAL_DAMAGES, ids=lambda damage: damage.__name__)
def test_tiny_imagenet_val_damaged(tiny, damage):
    damage(tiny)
    message = refusal(TinyImageNet, str(tiny), split='val')
    assert re.search(VAL_DAMAGES[damage], message), message


def test_tiny_imagenet_train_damaged(tiny, tmp_path):
    (tiny / 'train/n01').rename(tiny / 'train/n07')
    assert 'n07 only in' in refusal(TinyImageNet, str(tiny))
    (tiny / 'wnids.txt').unlink()  # then val is held against the folders of train
    message = refusal(TinyImageNet, str(tiny), split='val')
    assert re.search('n01 only in .*val, n07 only in .*train', message)
    for path in (tiny / 'train/n02/images').iterdir():
        path.unlink()
    assert 'class folders n02' in refusal(TinyImageNet, str(tiny))
    assert 'nowhere/train is no folder' in refusal(TinyImageNet, str(tiny / 'nowhere'))
    (tmp_path / 'empty/train').mkdir(parents=True)
    assert 'no class folders' in refusal(TinyImageNet, str(tmp_path / 'empty'))


def folders(root):
    for split, each in (('train', 3), ('val', 2)):
        for label, name in enumerate(('church', 'tench')):
            for number in range(each):
                path = root / split / name / f'{number}.JPEG'
                paint(path, 100 * label + 10 * (split == 'val') + number)
    return root


def test_image_folders(tmp_path):
    root = folders(tmp_path)
    (root / 'train/tench/.hidden.png').touch()
    (root / 'train/tench/notes.txt').touch()
    (root / 'train/.cache').mkdir()
    train, val = (ImageFolders(str(root), split=split) for split in ('train', 'val'))
    assert train.metainfo['classes'] == val.metainfo['classes'] == ('church', 'tench')
    assert rows(train) == [(0, 0), (1, 0), (2, 0), (100, 1), (101, 1), (102, 1)]
    assert rows(val) == [(10, 0), (11, 0), (110, 1), (111, 1)]


@pytest.mark.parametrize('split', ['train', 'val'])
def test_image_folders_that_differ(tmp_path, split):
    root = folders(tmp_path)
    for name in 'abcde':
        paint(root / 'val' / name / '0.png', 0)
    message = refusal(ImageFolders, str(root), split=split)
    assert re.search('a, b, c and 2 more only in .*val', message)


def test_image_folders_without_images_or_classes(tmp_path):
    root = folders(tmp_path / 'one')
    for split in ('train', 'val'):
        (root / split / 'empty').mkdir()
        (tmp_path / 'two' / split).mkdir(parents=True)
    for split in ('train', 'val'):
        assert 'class folders empty;' in refusal(ImageFolders, str(root), split=split)
    assert 'no class folders' in refusal(ImageFolders, str(tmp_path / 'two'))
    shutil.rmtree(root / 'val')
    assert 'val is no folder' in refusal(ImageFolders, str(root))


NAMES = 'airplane bird car cat deer dog horse monkey ship truck'.split()


@pytest.fixture
def stl(tmp_path):
    folder = tmp_path / 'stl10_binary'
    folder.mkdir()
    (folder / 'class_names.txt').write_text('\n'.join(NAMES) + '\n')
    for split, labels in (('train', [10, 1, 3]), ('test', [2, 9])):
        images = np.zeros((len(labels), 3 * 96 * 96), np.uint8)
        for row in range(len(labels)):
            # By the format: a plane a channel, and a column after the other in it.
            images[row, 0 * 9216 + 5 * 96 + 2] = 200 + row  # red, column 5, row 2
            images[row, 2 * 9216 + 95 * 96 + 0] = 100  # blue, column 95, row 0
        images.tofile(folder / f'{split}_X.bin')
        np.array(labels, np.uint8).tofile(folder / f'{split}_y.bin')
    return folder


@pytest.mark.parametrize('parent', [True, False])
def test_stl10(stl, parent):
    root = str(stl.parent if parent else stl)
    train, test = (STL10(root, split=split) for split in ('train', 'test'))
    assert train.metainfo['classes'] == test.metainfo['classes'] == tuple(NAMES)
    assert train.get_gt_labels().tolist() == [9, 0, 2]
    assert test.get_gt_labels().tolist() == [1, 8]
    for row in range(3):
        image = read_image(train.get_data_info(row))
        assert image.dtype == np.uint8 and image.shape == (96, 96, 3)
        expected = np.zeros_like(image)
        expected[2, 5, 0] = 200 + row
        expected[0, 95, 2] = 100
        np.testing.assert_array_equal(image, expected)


def test_stl10_in_a_config_and_in_part(stl):
    spec = dict(type='mmkd.STL10', data_root=str(stl), indices=[2, 0])
    data = DATASETS.build(dict(spec, pipeline=[dict(type='mmpretrain.PackInputs')]))
    assert data.get_gt_labels().tolist() == [2, 9]
    assert data[0]['inputs'][0, 2, 5] == 202
    assert data[0]['data_samples'].gt_label.item() == 2
    again = pickle.loads(pickle.dumps(data))  # as for a worker that is spawned
    assert again[1]['inputs'][0, 2, 5] == 200
    assert len(pickle.dumps(data)) < 10000  # without the images


@pytest.mark.parametrize('name', ['train_X.bin', 'train_y.bin', 'class_names.txt'])
def test_stl10_with_a_file_missing(stl, name):
    (stl / name).unlink()
    assert refusal(STL10, str(stl)).startswith(f'{name} of STL-10 not found')
    assert 'not found' in refusal(STL10, str(stl / 'nowhere'))


@pytest.mark.parametrize('name', ['train_X.bin', 'train_y.bin'])
@pytest.mark.parametrize('whole', [True, False])
def test_stl10_cut_short(stl, name, whole):
    path = stl / name
    with open(path, 'r+b') as file:
        file.truncate(0 if whole else path.stat().st_size - 1)
    assert 'cut short' in refusal(STL10, str(stl))


def test_stl10_without_an_image(stl):
    for name in ('train_X.bin', 'train_y.bin'):
        (stl / name).write_bytes(b'')
    assert 'the 0 labels' in refusal(STL10, str(stl))


@pytest.mark.parametrize('label', [0, 11])
def test_stl10_labels_out_of_range(stl, label):
    np.array([1, label, 2], np.uint8).tofile(stl / 'train_y.bin')
    assert 'allows 1 to 10' in refusal(STL10, str(stl))


@pytest.fixture
def cifar(tmp_path):
    """A little CIFAR-10: 20 noise images in each of its six files."""
    folder = tmp_path / 'cifar-10-batches-py'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in [*(f'data_batch_{n}' for n in range(1, 6)), 'test_batch']:
        data = rng.integers(256, size=(20, 3072), dtype=np.uint8)
        labels = rng.permutation(20) % 10
        entry = dict(data=data, labels=labels.tolist(), filenames=['a.png'] * 20)
        (folder / name).write_bytes(pickle.dumps(entry, protocol=2))
    return folder


def change(path, **values):
    entry = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(dict(entry, **values), protocol=2))


@pytest.mark.parametrize('split', ['train', 'test'])
def test_cifar10(cifar, split):
    names = [f'data_batch_{n}' for n in range(1, 6)]
    names = names if split == 'train' else ['test_batch']
    entries = [pickle.loads((cifar / name).read_bytes()) for name in names]
    data = CIFAR10(str(cifar.parent), split, check_md5=False)
    assert data.metainfo['classes'][:3] == ('airplane', 'automobile', 'bird')
    labels = sum((entry['labels'] for entry in entries), [])
    assert data.get_gt_labels().tolist() == labels
    planes = np.concatenate([entry['data'] for entry in entries])
    for row in (0, len(labels) - 1):
        image = read_image(data.get_data_info(row))
        # Red, then green, then blue, row by row.
        assert image[0, 1].tolist() == planes[row, [1, 1025, 2049]].tolist()
        assert image[31, 0, 2] == planes[row, 2048 + 31 * 32]


def test_cifar10_in_part(cifar):
    options = dict(check_md5=False, num_classes=4, fraction=0.2, part='last')
    data = CIFAR10(str(cifar.parent), **options)
    assert sorted(data.get_gt_labels().tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    with pytest.raises(ConfigError, match='CIFAR10: num_classes=11.* 2 and 10'):
        CIFAR10(str(cifar.parent), num_classes=11)


class Evil:
    def __reduce__(self):
        return exec, ('raise SystemExit("code ran")',)


def test_cifar10_damaged(cifar):
    root = str(cifar.parent)
    assert 'check_md5=False' in refusal(CIFAR10, root)
    path = cifar / 'data_batch_4'
    for values, sentence in (
        (dict(labels=[3] * 19), 'data_batch_4 is no CIFAR-10 file .*20 images.* 19 l'),
        (dict(labels=[3] * 19 + [10]), 'it has the label 10'),
        (dict(labels=None), 'is no CIFAR-10 file'),
        (dict(data=np.full((20, 3072), 0.3)), 'pixels are no bytes'),
        (dict(labels=[1.7] * 20), 'labels no whole numbers'),
        (dict(filenames=Evil()), r'no CIFAR-10 file .*GLOBAL builtins\.exec'),
    ):
        whole = path.read_bytes()
        change(path, **values)
        assert re.search(sentence, refusal(CIFAR10, root, check_md5=False))
        path.write_bytes(whole)
    path.unlink()
    message = refusal(CIFAR10, root, check_md5=False)
    assert 'data_batch_4 is missing beside the rest of CIFAR-10' in message


def test_cifar10_without_data_and_network(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, 'url', 'http://127.0.0.1:9/cifar.tar.gz')
    assert 'CIFAR-10 is not in' in refusal(CIFAR10, str(tmp_path))


def test_digit_images():
    train, test = (DigitImages(split) for split in ('train', 'test'))
    assert train.metainfo['classes'] == tuple('0123456789')
    assert (len(train), len(test)) == (1438, 359)
    bunch = load_digits()
    taken = [0, 0]
    for label in range(10):
        # The first of each class are for training, the last for testing.
        of_class = bunch.images[bunch.target == label]
        images = []
        for which, data in enumerate((train, test)):
            indices = np.flatnonzero(data.get_gt_labels() == label)
            taken[which] += len(indices)
            images += [read_image(data.get_data_info(int(row))) for row in indices]
        images = np.stack(images)
        assert images.dtype == np.uint8 and images.shape[1:] == (32, 32, 3)
        assert np.ptp(images, axis=3).max() == 0  # grey
        blocks = images[..., 0].reshape(-1, 8, 4, 8, 4)
        assert np.ptp(blocks, axis=(2, 4)).max() == 0
        np.testing.assert_array_equal(
            blocks[:, :, 0, :, 0], np.round(of_class * 255 / 16)
        )
        share = (test.get_gt_labels() == label).sum() / len(of_class)
        assert abs(share - 0.2) < 0.5 / len(of_class) + 1e-9
    assert taken == [1438, 359]


def test_digit_images_in_a_config():
    spec = dict(type='mmkd.DigitImages', split='test')
    data = DATASETS.build(dict(spec, pipeline=[dict(type='mmpretrain.PackInputs')]))
    assert data[5]['inputs'].shape == (3, 32, 32)
    check_data(Config(dict(val_dataloader=dict(dataset=spec))))


@pytest.mark.parametrize('kind', ['TinyImageNet', 'STL10', 'ImageFolders'])
def test_a_missing_root_is_found_before_anything_is_built(kind):
    spec = dict(type=f'mmkd.{kind}', data_root='data/nowhere')
    with pytest.raises(DataError, match=f"'data/nowhere' of mmkd.{kind} is no folder"):
        check_data(Config(dict(train_dataloader=dict(dataset=spec))))


@pytest.mark.parametrize('kind', [TinyImageNet, STL10, ImageFolders, DigitImages])
def test_unknown_splits(kind, tmp_path):
    root = {} if kind is DigitImages else dict(data_root=str(tmp_path))
    with pytest.raises(ConfigError, match=f"{kind.__name__}: split='valid', .* or "):
        kind(split='valid', **root)
