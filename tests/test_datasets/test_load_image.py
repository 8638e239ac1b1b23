"""LoadImage: what mmcv loads, and an error where mmcv goes on with half an image."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import TRANSFORMS
from PIL import Image
from torch._utils import ExceptionWrapper

from mmkd.engine.launch import run
from mmkd.errors import DataError


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(24, 32, 3), dtype=np.uint8)
    path = tmp_path / 'photo.jpg'
    Image.fromarray(pixels).resize((320, 240)).save(path)
    return path


def load(path):
    step = TRANSFORMS.build(dict(type='mmkd.LoadImage'))
    return step(dict(img_path=str(path)))


def test_it_loads_what_mmcv_loads(photo):
    actual = load(photo)
    expected = LoadImageFromFile(imdecode_backend='pillow')(dict(img_path=str(photo)))
    assert actual.keys() == expected.keys()
    assert np.array_equal(actual['img'], expected['img'])  # BGR
    assert actual['img_shape'] == actual['ori_shape'] == expected['img_shape']


def test_a_cut_image_is_one_sentence_from_a_worker_too(photo):
    photo.write_bytes(photo.read_bytes()[:2000])
    with pytest.raises(DataError, match='photo.jpg cannot be read'):
        load(photo)

    def main():
        # What a DataLoader does with an error of its worker.
        try:
            load(photo)
        except DataError:
            ExceptionWrapper(where='in DataLoader worker process 0').reraise()

    with pytest.raises(SystemExit) as stop:
        run(main)
    assert str(stop.value).startswith(f'error: {photo} cannot be read as an image')
    assert '\n' not in str(stop.value)
