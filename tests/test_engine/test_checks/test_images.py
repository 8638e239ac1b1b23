"""Images that are missing, empty, cut short or of another size, before training."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmkd.engine.checks.images import Images, empty_image, reads_files
from mmkd.engine.checks.opening import check_contents
from mmkd.errors import DataError
from mmkd.registry import DATASETS


def refusal(cfg):
    with pytest.raises(DataError) as caught:
        check_contents([cfg])
    message = str(caught.value)
    assert '\n' not in message and message.endswith('.')
    return message


def of_validation(cfg, tmp_path):
    """Move the images of the training away, so that only the validation lacks some."""
    folder = tmp_path / 'train'
    folder.mkdir()
    for path in tmp_path.glob('*.png'):
        (folder / path.name).write_bytes(path.read_bytes())
    cfg.train_dataloader.dataset.data_prefix.img = 'train'
    return cfg


def test_a_size_of_0_is_none(tmp_path):
    """As VOC's files write it where nobody knew."""
    cv2.imwrite(str(tmp_path / '1.png'), np.zeros((8, 8, 3), np.uint8))
    images = Images('train_dataloader', 1)
    images.add(dict(img_path=str(tmp_path / '1.png'), width=0, height=0))
    images.check()


@pytest.mark.parametrize('loader', ['train', 'val'])
def test_a_missing_image(coco, tmp_path, loader):
    cfg = coco()
    if loader == 'val':
        of_validation(cfg, tmp_path)
    (tmp_path / '2.png').unlink()
    message = refusal(cfg)
    assert message.startswith(f'{loader}_dataloader: 1 of 4 images are not there')
    assert '2.png' in message


def test_all_missing_are_counted(coco, tmp_path):
    cfg = coco()
    cfg.train_dataloader.dataset.data_prefix.img = 'nowhere'
    message = refusal(cfg)
    assert '4 of 4 images are not there' in message and 'and 1 more' in message


def cut(path):
    path.write_bytes(path.read_bytes()[:60])


def other(path):
    cv2.imwrite(str(path), np.zeros((20, 48, 3), np.uint8))


@pytest.mark.parametrize(
    'damage, said',
    [
        (Path.unlink, 'not there'),
        (lambda path: path.write_bytes(b''), 'is empty'),
        (cut, 'ends early'),
        (other, 'has 48 x 20 pixels, but 48 x 32 in the annotations'),
    ],
    ids=['missing', 'empty', 'cut', 'other size'],
)
def test_damaged_images(coco, tmp_path, damage, said):
    cfg = coco()
    damage(tmp_path / '1.png')
    message = refusal(cfg)
    assert said in message and '1.png' in message


def test_what_is_no_image(coco, tmp_path):
    cfg = coco()
    (tmp_path / '0.png').write_text('no image at all')
    message = refusal(cfg)
    assert 'the first sample of CocoDataset cannot be prepared' in message
    assert '0.png' in message


def test_images_turned_by_their_reader_pass(coco, tmp_path):
    cfg = coco()
    cv2.imwrite(str(tmp_path / '1.png'), np.zeros((48, 32, 3), np.uint8))
    check_contents([cfg])


@pytest.mark.parametrize('channels', [(), (3,)], ids=['grey', 'colour'])
def test_images_of_16_bits_are_said(coco, tmp_path, warnings, channels):
    cfg = coco()
    check_contents([cfg])
    assert not warnings()
    pixels = np.full((32, 48, *channels), 5000, np.uint16)
    cv2.imwrite(str(tmp_path / '1.png'), pixels)
    check_contents([cfg])
    assert '1.png has 16 bits' in warnings()[0]


@pytest.mark.parametrize(
    'loading',
    [dict(ignore_empty=True), dict(backend_args=dict(backend='petrel'))],
)
def test_images_that_are_not_read_from_here_pass(loading):
    step = type('LoadImageFromFile', (), loading)()
    leaf = type('Leaf', (), dict(pipeline=type('P', (), dict(transforms=[step]))))()
    assert not reads_files(leaf)
    leaf.pipeline.transforms = [type('LoadImageFromFile', (), {})()]
    assert reads_files(leaf)


def test_looking_changes_nothing(coco):
    """Pipelines draw random numbers, and some remember images."""
    cfg = coco()
    seen = []

    class Remember:
        def __init__(self):
            self.count = 0

        def __call__(self, results):
            self.count += 1
            seen.append(np.random.rand())
            return results

    steps = [*cfg.train_dataloader.dataset.pipeline, Remember()]
    cfg.train_dataloader.dataset.pipeline = steps
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    check_contents([cfg])
    assert seen and np.random.rand() == expected
    assert steps[-1].count == 0


def test_finding_the_empty_image_when_reading_failed(coco, tmp_path):
    cfg = coco()
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, _scope_='mmdet'))
    assert empty_image(dataset) is None
    (tmp_path / '3.png').write_bytes(b'')
    assert os.path.basename(empty_image(dataset)) == '3.png'


def bad(data, part, entry, **values):
    data[part][entry].update(values)
    for key in [key for key, value in values.items() if value is None]:
        del data[part][entry][key]
    return data


@pytest.mark.parametrize(
    'change, said',
    [
        (lambda data: '{"images": [', 'is no JSON (line 1, column'),
        (lambda data: '', 'is no JSON'),
        (lambda data: '[]', "is a list, not COCO's dict"),
        (lambda data: '{}', 'has no categories (it has nothing)'),
        (lambda data: dict(data, images=[]), 'has no images'),
        (lambda data: {'images': [], 'categories': data['categories']}, 'no images'),
        (lambda data: bad(data, 'images', 1, file_name=None), 'lacks file_name in en'),
        (lambda data: bad(data, 'images', 1, width=None), 'lacks width in entry 1 of'),
        (lambda data: bad(data, 'images', 1, id=None), 'lacks id in entry 1 of images'),
        (lambda data: bad(data, 'annotations', 2, bbox=None), 'lacks bbox in entry 2'),
        (lambda data: bad(data, 'annotations', 2, area=None), 'lacks area in entry 2'),
        (lambda data: bad(data, 'annotations', 2, category_id=None), 'lacks category_'),
        (lambda data: bad(data, 'annotations', 2, image_id=None), 'lacks image_id in'),
        (lambda data: bad(data, 'categories', 0, name=None), 'lacks name in entry 0'),
        (lambda data: bad(data, 'annotations', 2, bbox=[1, 2]), 'four numbers: left'),
        (lambda data: bad(data, 'annotations', 2, bbox='12'), 'four numbers: left'),
        (lambda data: bad(data, 'annotations', 2, id=1), 'the id 1 2 times among its'),
        (lambda data: json.dumps(data)[:-40], 'is no JSON (line 1'),
    ],
)
@pytest.mark.parametrize('loader', ['train', 'val'])
def test_annotation_files(coco, content, change, said, loader):
    message = refusal(coco(**{loader: change(content())}))
    assert message.startswith(f'{loader}_dataloader: ')
    assert said in message and f'{loader}.json' in message


@pytest.mark.parametrize('packed', [True, False])
def test_a_wrapper_that_mixes_images_ends_the_pipeline(coco, packed):
    """As in YOLOX's stock files: what is inside of it loads and does not pack."""
    cfg = coco()
    inner = cfg.train_dataloader.dataset
    mixed = [dict(type='Mosaic', img_scale=(32, 32)), *inner.pipeline[2:]]
    inner.pipeline = inner.pipeline[:2]
    wrapper = dict(type='MultiImageMixDataset', dataset=inner)
    cfg.train_dataloader.dataset = dict(wrapper, pipeline=mixed[: 1 + packed])
    if packed:
        check_contents([cfg])
        return
    with pytest.raises(DataError, match='first sample of MultiImageMixDataset has no'):
        check_contents([cfg])
