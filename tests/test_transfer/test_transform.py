"""Transform: the pixels are those of the network's own test pipeline."""

import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from mmkd.configs import load_config
from mmkd.datasets.read_image import read_image
from mmkd.errors import ConfigError
from mmkd.transfer.features.transform import Transform

#: Height, width, mode and kind of image files.
KINDS = dict(
    wide=(180, 320, 'RGB', 'png'),
    tall=(401, 283, 'RGB', 'png'),
    small=(40, 60, 'RGB', 'png'),
    grey=(200, 210, 'L', 'png'),
    alpha=(220, 200, 'RGBA', 'png'),
    photo=(240, 300, 'RGB', 'jpg'),
)
RESIZE = dict(type='Resize', scale=48)
PACK = dict(type='PackInputs')
LOAD = dict(type='LoadImageFromFile')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A class folder with one image of each kind."""
    root = tmp_path_factory.mktemp('images')
    (root / 'class').mkdir()
    rng = np.random.default_rng(0)
    for name, (height, width, mode, kind) in KINDS.items():
        # Coarse blots, as pictures are smoother than noise.
        blots = rng.integers(256, size=(5, 7, 4), dtype=np.uint8)
        image = Image.fromarray(blots, 'RGBA').resize((width, height), Image.BICUBIC)
        if mode == 'RGBA':
            image.putalpha(255)
        image.convert(mode).save(root / 'class' / f'{name}.{kind}')
    return root


def packed(pipeline, root):
    """Give what mmpretrain's data set and pipeline put out, by name."""
    spec = dict(type='CustomDataset', data_root=str(root), pipeline=pipeline)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(copy.deepcopy(spec))
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    names = [info['img_path'].rpartition('/')[2].split('.')[0] for info in infos]
    inputs = [dataset[index]['inputs'].numpy() for index in range(len(dataset))]
    return {name: both for name, *both in zip(names, infos, inputs)}


def config(pipeline=None, kind='ImageNet', **more):
    dataset = dict(type=kind, **({} if pipeline is None else dict(pipeline=pipeline)))
    return Config(dict(test_dataloader=dict(dataset=dataset), **more))


def test_imagenet_pixels_are_those_of_mmpretrain(folder, imagenet_config):
    pipeline = imagenet_config.test_dataloader.dataset.pipeline
    transform = Transform(imagenet_config)
    given = packed(pipeline, folder)
    assert sorted(given) == sorted(KINDS)
    for name, (info, expected) in given.items():
        pixels = transform(read_image(info))
        assert pixels.dtype == np.uint8 and pixels.shape == (3, 224, 224)
        np.testing.assert_array_equal(pixels, expected, name)


def test_files_come_as_bgr_and_arrays_as_rgb():
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0] = 200  # red
    files = Transform(config([LOAD, PACK]))
    arrays = Transform(config([PACK], 'CIFAR10'))
    assert files(image)[:, 0, 0].tolist() == [0, 0, 200]
    assert arrays(image)[:, 0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize('key', ['to_rgb', 'bgr_to_rgb'])
def test_without_a_data_set_the_preprocessor_tells_the_order(key):
    flips = {key: True}
    student = dict(type='ImageClassifier', data_preprocessor=flips)
    for own in (
        dict(data_preprocessor=flips),
        dict(model=student),
        dict(model=dict(type='mmkd.Distiller', student=student)),
    ):
        assert Transform(Config(own), 32).bgr
    assert not Transform(Config(dict(data_preprocessor={key: False})), 32).bgr
    assert not Transform(Config(dict(model=dict(type='ImageClassifier'))), 32).bgr


@pytest.mark.parametrize('name', ['teacher_resnet56', 'kd_resnet56_resnet20'])
def test_cifar_pixels_are_those_of_the_data_set(name, tmp_path, noise):
    cfg = load_config(f'configs/cifar100/{name}.py')
    images = noise(20)
    entry = dict(
        data=images.transpose(0, 3, 1, 2).reshape(20, -1),
        fine_labels=list(range(20)),
    )
    (tmp_path / 'cifar-100-python').mkdir()
    for part in ('train', 'test'):
        (tmp_path / 'cifar-100-python' / part).write_bytes(pickle.dumps(entry))
    spec = cfg.test_dataloader.dataset
    spec.dataset.update(data_root=str(tmp_path), check_md5=False)
    dataset = DATASETS.build(spec)
    transform = Transform(cfg)
    assert len(dataset) == 20
    for index in range(20):
        expected = dataset[index]['inputs']
        assert torch.equal(torch.from_numpy(transform(images[index])), expected)


def test_stock_cifar_config_takes_arrays_of_its_size(noise):
    cfg = config([PACK], 'mmpretrain.CIFAR10')
    (image,) = noise(1)
    np.testing.assert_array_equal(Transform(cfg)(image), image.transpose(2, 0, 1))
    (large,) = noise(1, size=64)
    assert Transform(cfg)(large).shape == (3, 32, 32)


def test_arrays_that_a_pipeline_enlarges(noise):
    """As where a network of ImageNet's size is tuned on CIFAR."""
    (image,) = noise(1)
    assert Transform(config([RESIZE, PACK], 'CIFAR10'))(image).shape == (3, 48, 48)
    assert Transform(config([RESIZE, PACK], 'Mine'))(image).shape == (3, 48, 48)


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'mmkd.ImageTensors'])
def test_wrapped_data_sets(wrapper):
    inner = dict(type='CIFAR100', data_root='nowhere')
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type=wrapper, dataset=inner))))
    assert Transform(cfg)(np.zeros((64, 64, 3), np.uint8)).shape == (3, 32, 32)


def test_types_may_be_classes():
    """As in configs that are Python through and through."""
    from mmcv.transforms import LoadImageFromFile, Resize
    from mmpretrain.datasets import CIFAR10, PackInputs

    image = np.zeros((64, 64, 3), np.uint8)
    steps = [dict(type=Resize, scale=(48, 48)), dict(type=PackInputs)]
    assert Transform(config(steps[1:], CIFAR10))(image).shape == (3, 32, 32)
    files = Transform(config([dict(type=LoadImageFromFile), *steps]))
    assert files.bgr and files(image).shape == (3, 48, 48)


@pytest.mark.parametrize('shape', [(32, 32), (64, 64), (20, 20), (50, 90), (91, 40)])
def test_input_size_is_a_central_square(shape):
    image = np.zeros((*shape, 3), np.uint8)
    height, width = shape
    side = min(shape)
    top, left = (height - side) // 2, (width - side) // 2
    image[top : top + side, left : left + side] = 255
    pixels = Transform(config([LOAD, RESIZE, PACK]), 32)(image)
    assert pixels.shape == (3, 32, 32)
    assert pixels[:, 1:-1, 1:-1].min() == 255  # what is outside, is cut away


def test_input_size_of_the_image_leaves_its_pixels(noise):
    (image,) = noise(1)
    pixels = Transform(config([LOAD, RESIZE, PACK]), 32)(image)
    np.testing.assert_array_equal(pixels, image[..., ::-1].transpose(2, 0, 1))


def test_input_size_is_antialiased():
    """Thin lines become grey; taking some of the columns would lose or keep them."""
    image = np.zeros((128, 128, 3), np.uint8)
    image[:, ::4] = 200
    pixels = Transform(config([LOAD, PACK]), 32)(image)[:, 2:-2, 2:-2]
    assert 40 <= pixels.min() and pixels.max() <= 60


def test_says_what_it_does():
    """Features are kept by this text."""
    texts = {
        str(Transform(*each))
        for each in [
            (config([LOAD, RESIZE, PACK]),),
            (config([LOAD, dict(RESIZE, interpolation='bicubic'), PACK]),),
            (config([LOAD, RESIZE, PACK]), 32),
            (config([LOAD, RESIZE, PACK]), 48),
            (config([PACK], 'CIFAR10'), 32),
        ]
    }
    assert len(texts) == 5


def test_its_parts_are_the_steps_and_those_within_them():
    """The code of each counts in the key of cached features."""
    either = dict(type='RandomChoice', transforms=[[RESIZE], [RESIZE]])
    transform = Transform(config([LOAD, either, PACK]))
    kinds = [type(part).__name__ for part in transform.parts()]
    assert kinds[0] == 'Transform' and 'RandomChoice' in kinds
    assert kinds.count('Resize') == 2


def test_says_the_same_of_a_config_that_was_dumped(tmp_path):
    step = dict(type='Resize', scale=(48, 48), interpolation='bicubic', keep_ratio=True)
    cfg = config([LOAD, step, PACK])
    cfg.dump(tmp_path / 'config.py')
    text = (tmp_path / 'config.py').read_text()
    assert text.index('interpolation') < text.index("type='Resize'")
    assert str(Transform(load_config(str(tmp_path / 'config.py')))) == str(
        Transform(cfg)
    )


@pytest.mark.parametrize('cfg', [config([PACK]), config(), Config({})])
def test_no_size_is_refused(cfg):
    with pytest.raises(ConfigError, match=r'no test pipeline.*--input-size\), 32'):
        Transform(cfg)
    assert Transform(cfg, 16)(np.zeros((32, 32, 3), np.uint8)).shape == (3, 16, 16)


@pytest.mark.parametrize('size', [0, -5])
def test_sizes_below_1(size):
    with pytest.raises(ConfigError, match=f'input_size={size}.* from 1 on'):
        Transform(config([LOAD, PACK]), size)
