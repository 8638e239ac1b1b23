"""Annotations, images and loaders that nobody can learn from."""

import json
import shutil

import cv2
import numpy as np
import pytest

ANNOTATIONS = 'annotations/instances_train.json'


def each(part, **values):
    """Give every entry of a part of the annotations these values."""

    def change(coco):
        for entry in coco[part]:
            entry.update(values)

    return change


def without(part, key):
    def change(coco):
        for entry in coco[part]:
            del entry[key]

    return change


def drop(part):
    return lambda coco: coco.pop(part)


def put(**values):
    return lambda coco: coco.update(values)


def swap_categories(coco):
    coco['categories'] = coco['categories'][::-1]


def rename_categories(coco):
    for category in coco['categories']:
        category['name'] = f'no_{category["name"]}'


def category_gone(coco):
    coco['categories'] = [c for c in coco['categories'] if c['name'] != '3']


def other_category_ids(coco):
    for box in coco['annotations']:
        box['category_id'] += 100


def other_image_ids(coco):
    for box in coco['annotations']:
        box['image_id'] += 1000


#: What is wrong: words of the sentence, what is done to the annotations.
COCO = {
    'no images': ('images', drop('images')),
    'no annotations': ('annotations', drop('annotations')),
    'no categories': ('categories', drop('categories')),
    'images, an empty list': ('images', put(images=[])),
    'annotations, an empty list': ('box|annotation', put(annotations=[])),
    'categories, an empty list': ('categories', put(categories=[])),
    'images, a dict': ('images', put(images={})),
    'annotations, text': ('annotations', put(annotations='none')),
    'categories, numbers': ('CocoDataset', put(categories=[1, 2])),
    'images without a name': ('file_name', without('images', 'file_name')),
    'images without a number': ('id', without('images', 'id')),
    'images without a size': ('height|width|size', without('images', 'height')),
    'boxes without a place': ('bbox', without('annotations', 'bbox')),
    'boxes without a category': ('category_id', without('annotations', 'category_id')),
    'boxes without an image': ('image_id', without('annotations', 'image_id')),
    'categories without a name': ('name', without('categories', 'name')),
    'categories without a number': ('id', without('categories', 'id')),
    'boxes of three numbers': ('bbox', each('annotations', bbox=[1, 2, 3])),
    'boxes of text': ('bbox', each('annotations', bbox='1 2 3 4')),
    'boxes of nothing': ('bbox|box', each('annotations', bbox=None)),
    'boxes of nan': ('box', each('annotations', bbox=[float('nan')] * 4)),
    'boxes without area': ('box', each('annotations', bbox=[5, 5, 0, 0], area=0)),
    'boxes of negative size': ('box', each('annotations', bbox=[50, 50, -9, -9])),
    'boxes outside of the image': ('box', each('annotations', bbox=[900, 900, 9, 9])),
    'boxes of crowds': ('box', each('annotations', iscrowd=1)),
    'boxes of other categories': ('categor|class', other_category_ids),
    'boxes of other images': ('box|image', other_image_ids),
    'categories of other names': ('no_0|categor|class', rename_categories),
    'categories in another order': ('order|label', swap_categories),
    'a category that is gone': ("'3'|3", category_gone),
    'images that are not there': ('no_such', each('images', file_name='no_such.jpg')),
    'images of another size': ('size|height', each('images', height=50, width=30)),
}
BYTES = {
    'empty annotations': (ANNOTATIONS.split('/')[1], b''),
    'half of the annotations': ('instances_train', b'{"images": [{"id": 1'),
    'annotations, a list': ('instances_train', b'[1, 2]'),
    'annotations, a number': ('instances_train', b'3'),
    'annotations, no text': ('instances_train', b'\xff\xfe\x00\x01'),
}


@pytest.fixture
def scenes(home, tmp_path):
    shutil.copytree(home / 'scenes', tmp_path / 'scenes')
    return tmp_path / 'scenes'


def detect(train, words, root, *more):
    lines = [f'train_dataloader = dict(dataset=dict(data_root={str(root)!r}))', *more]
    train(words, 'detector_kd.py', '\n'.join(lines))


@pytest.mark.parametrize('case', COCO)
def test_annotations(case, train, scenes):
    words, change = COCO[case]
    coco = json.loads((scenes / ANNOTATIONS).read_text())
    change(coco)
    (scenes / ANNOTATIONS).write_text(json.dumps(coco))
    detect(train, words, scenes)


@pytest.mark.parametrize('case', BYTES)
def test_annotation_files(case, train, scenes):
    words, content = BYTES[case]
    (scenes / ANNOTATIONS).write_bytes(content)
    detect(train, words, scenes)


#: What is wrong: words of the sentence, what every image is.
IMAGES = {
    'empty': (r'\.(jpg|png)', b''),
    'text': (r'\.(jpg|png)', b'no image at all'),
    'half of a JPEG': (r'\.(jpg|png)', b'\xff\xd8\xff\xe0\x00\x10JFIF\x00'),
    'a folder': (r'\.(jpg|png)', None),
}


@pytest.mark.parametrize('case', IMAGES)
def test_images_of_scenes(case, train, scenes):
    words, content = IMAGES[case]
    for path in (scenes / 'train').iterdir():
        path.unlink()
        path.mkdir() if content is None else path.write_bytes(content)
    detect(train, words, scenes)


def folder(home, tmp_path):
    shutil.copytree(home / 'images', tmp_path / 'images')
    return tmp_path / 'images'


def classify(train, words, root, *more):
    lines = [f'train_dataloader = dict(dataset=dict(data_root={str(root)!r}))', *more]
    train(words, 'classifier_kd.py', '\n'.join(lines))


@pytest.mark.parametrize('case', IMAGES)
def test_images_in_folders(case, train, home, tmp_path):
    words, content = IMAGES[case]
    root = folder(home, tmp_path)
    for path in root.glob('*/*.png'):
        path.unlink()
        path.mkdir() if content is None else path.write_bytes(content)
    classify(train, words if content is not None else 'image', root)


def test_images_of_16_bits_are_told(attempt, home, tmp_path):
    root = folder(home, tmp_path)
    for path in root.glob('*/*.png'):
        cv2.imwrite(str(path), np.full((32, 32, 3), 40000, np.uint16))
    config = tmp_path / 'sixteen.py'
    config.write_text(
        f'_base_ = {str(home / "classifier_kd.py")!r}\n'
        f'train_dataloader = dict(dataset=dict(data_root={str(root)!r}))\n'
    )
    outcome = attempt('train', config, '--work-dir', tmp_path / 'w')
    assert outcome.kind == 'training'
    assert '8 bit' in outcome.text


#: What is wrong: words of the sentence, lines of the classifier's config.
LOADERS = {
    'a data root that is not there': (
        'no_such',
        "train_dataloader = dict(dataset=dict(data_root='no_such'))",
    ),
    'a data root that is a file': (
        r'classifier\.py',
        'root = _base_.train_dataloader.dataset.data_root\n'
        "train_dataloader = dict(dataset=dict(data_root=root + '/../classifier.py'))",
    ),
    'a data root without images': (
        'image|label',
        'root = _base_.train_dataloader.dataset.data_root\n'
        "train_dataloader = dict(dataset=dict(data_root=root + '/../scenes'))",
    ),
    'validation that is not there': (
        'no_such',
        "val_dataloader = dict(dataset=dict(data_root='no_such'))",
    ),
    'a batch above the data': (
        'batch_size.*12|12.*batch_size',
        'train_dataloader = dict(batch_size=64, drop_last=True)',
    ),
    'a last batch of one for batch norm': (
        'batch',
        'train_dataloader = dict(batch_size=11)',
    ),
    'a batch of one for DIST': (
        'batch_size',
        'train_dataloader = dict(batch_size=1)\n'
        "model = dict(losses=dict(loss_kd=dict(type='DISTLoss')))",
    ),
    'no class is known': (
        'class',
        "train_dataloader = dict(dataset=dict(metainfo=dict(classes=('x', 'y', 'z'))))",
    ),
    'classes in another order': (
        'class',
        "train_dataloader = dict(dataset=dict(metainfo=dict(classes=('c', 'b', 'a'))))",
    ),
    'more classes than the head has': (
        'class',
        'model = dict(student=dict(head=dict(num_classes=2)),'
        ' losses=dict(_delete_=True))',
    ),
    'an annotation file that is not there': (
        r'no_such\.txt',
        "train_dataloader = dict(dataset=dict(ann_file='no_such.txt'))",
    ),
    'no labels': (
        'label',
        'train_dataloader = dict(dataset=dict(with_label=False))',
    ),
    'CIFAR in a folder of a typo': (
        'cifar_100',
        "train_dataloader = dict(dataset=dict(_delete_=True, type='mmkd.CIFAR100',"
        " data_root='no/where/cifar_100', split='train', pipeline=[]))",
    ),
    "mmpretrain's CIFAR in a folder of a typo": (
        'cifar_100',
        "train_dataloader = dict(dataset=dict(_delete_=True, type='CIFAR100',"
        " data_root='no/where/cifar_100', split='train', pipeline=[]))",
    ),
}


@pytest.mark.parametrize('case', LOADERS)
def test_loaders(case, train):
    words, text = LOADERS[case]
    train(words, 'classifier_kd.py', text)


#: What is wrong: words of the sentence, lines of the detector's config.
DETECTORS = {
    'a data root that is not there': (
        'no_such',
        "train_dataloader = dict(dataset=dict(data_root='no_such/'))",
    ),
    'an annotation file that is not there': (
        r'no_such\.json',
        "train_dataloader = dict(dataset=dict(ann_file='no_such.json'))",
    ),
    'images in another folder': (
        'no_such',
        "train_dataloader = dict(dataset=dict(data_prefix=dict(img='no_such/')))",
    ),
    'an annotation file that is an image': (
        'digits|jpg|png|train',
        "train_dataloader = dict(dataset=dict(ann_file='train'))",
    ),
    'the classes in another order': (
        'order|label|class',
        'train_dataloader = dict(dataset=dict(metainfo=dict('
        "classes=tuple('9876543210'))))",
    ),
    'classes that do not occur': (
        'cat',
        "train_dataloader = dict(dataset=dict(metainfo=dict(classes=('cat', 'dog'))))",
    ),
    'one class that does not occur': (
        'cat',
        'train_dataloader = dict(dataset=dict('
        "metainfo=dict(classes=(*map(str, range(9)), 'cat'))))",
    ),
    'classes that are no list': (
        'CocoDataset',
        'train_dataloader = dict(dataset=dict(metainfo=dict(classes=10)))',
    ),
    'fewer classes in the head': (
        'class',
        'model = dict(student=dict(roi_head=dict(bbox_head=dict(num_classes=5))),'
        ' losses=dict(_delete_=True))',
    ),
    'only large images are wanted': (
        'filter',
        'train_dataloader = dict(dataset=dict(filter_cfg=dict(min_size=4000)))',
    ),
    'validation on other classes': (
        'class|order',
        'val_dataloader = dict(dataset=dict(metainfo=dict('
        "classes=tuple('9876543210'))))",
    ),
    'a pipeline without boxes': (
        'bbox|LoadAnnotations|box',
        'train_dataloader = dict(dataset=dict(pipeline=['
        "dict(type='LoadImageFromFile'), dict(type='PackDetInputs')]))",
    ),
}


@pytest.mark.parametrize('case', DETECTORS)
def test_detectors(case, train):
    words, text = DETECTORS[case]
    train(words, 'detector_kd.py', text)


def test_no_workers_but_persistent_ones_goes_on(attempt, home, tmp_path):
    config = tmp_path / 'workers.py'
    config.write_text(
        f'_base_ = {str(home / "classifier_kd.py")!r}\n'
        'train_dataloader = dict(persistent_workers=True, prefetch_factor=2)\n'
    )
    assert attempt('train', config, '--work-dir', tmp_path / 'w').kind == 'training'
