"""Sizes and channels of images: of the dry run, and those that a teacher takes."""

import copy

import pytest
import torch
from mmengine.config import Config
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmkd.configs import build_model, input_size_of, load_config
from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.image_size import size_of
from mmkd.registry import MODELS
from mmkd.testing import classification_batch, toy_classifier

LOSSES = dict(loss_kd=dict(type='KDLoss', on='logits'))


def say(module, path, value):
    """Give a module a value under a dotted name."""
    *outer, name = path.split('.')
    for child in outer:
        setattr(module, child, nn.Module())
        module = getattr(module, child)
    setattr(module, name, value)


class FixedSize(nn.Module):
    """Takes images of one size alone, and may say which, under any name."""

    def __init__(self, size, says='img_size'):
        super().__init__()
        if says:
            say(self, says, size)
            say(self, 'stages.0.img_size', 7)  # of its maps
        self.size = size
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        if images.shape[2:] != (self.size, self.size):
            raise AssertionError(f'Input size {tuple(images.shape[2:])}\nmore of it')
        return (self.layer(images),)


class Patches(nn.Module):
    """Patches of grey images through a linear layer, without a convolution."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 4)

    def forward(self, images):
        patches = nn.functional.unfold(images, 4, stride=4).transpose(1, 2)
        maps = self.layer(patches).transpose(1, 2)
        side = images.shape[2] // 4
        return (maps.unflatten(2, (side, side)),)


@pytest.fixture(autouse=True, scope='module')
def registered():
    for kind in (FixedSize, Patches):
        MODELS.register_module(module=kind)
    yield
    for kind in (FixedSize, Patches):
        MODELS.module_dict.pop(kind.__name__)


def of_one_size(size, says='img_size'):
    model = toy_classifier()
    model.backbone = dict(type='mmkd.FixedSize', size=size, says=says)
    model.head.in_channels = 4
    return model


def build(student, teacher, losses=LOSSES, probe_size=None, **spec):
    torch.manual_seed(0)
    teacher = dict(config=teacher, allow_untrained=True, **spec)
    return Distiller(student, losses, teacher=teacher, probe_size=probe_size)


@pytest.mark.parametrize(
    'says',
    [
        'img_size',
        'image_size',
        'timm_model.patch_embed.img_size',
        'patch_embed.init_input_size',
        'model.config.image_size',
        'bbox_head.prior_generator.input_size',
    ],
)
def test_a_networks_size_is_what_any_of_its_modules_says(says):
    build(of_one_size(40, says), toy_classifier())
    build(toy_classifier(), of_one_size(40, says))


def test_it_is_the_students_before_the_teachers():
    with pytest.raises(ConfigError, match='the teacher cannot run on .* 40 x 40'):
        build(of_one_size(40), of_one_size(64))
    assert size_of(nn.Linear(2, 2)) is None


def test_it_is_that_of_the_config_first():
    build(of_one_size(40, says=''), toy_classifier(), probe_size=(40, 40))
    build(of_one_size(40, says=''), toy_classifier(), probe_size=40)


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_a_network_that_refuses_it_is_named_and_what_to_give(role):
    pair = [of_one_size(40, says=''), toy_classifier()]
    with pytest.raises(
        ConfigError,
        match=rf'the {role} cannot run .* 128 x 128 .*Input size \(128, 128\)\)'
        '; .* model.probe_size',
    ):
        build(*(pair if role == 'student' else pair[::-1]))


@pytest.mark.parametrize('size', ['x', '', -4, 0, 0.5, True, [], [32], (1, 2, 3), {}])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ConfigError, match='probe_size must be a number of pixels'):
        build(toy_classifier(), toy_classifier(), probe_size=size)
    with pytest.raises(ConfigError, match='input_size must be a number of pixels'):
        build(toy_classifier(), toy_classifier(), input_size=size)


def test_a_size_beyond_all_memory_is_refused():
    with pytest.raises(ConfigError, match='cannot be made .*model.probe_size'):
        build(toy_classifier(), toy_classifier(), probe_size=10**7)


@pytest.mark.parametrize(
    'path, size',
    [
        ('mmpretrain::resnet/resnet18_8xb32_in1k.py', (224, 224)),
        ('mmpretrain::resnet/resnet18_8xb16_cifar10.py', (32, 32)),
        ('mmpretrain::efficientnet_v2/efficientnetv2-b0_8xb32_in1k.py', (192, 192)),
        ('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', None),
        ('mmdet::ssd/ssd300_coco.py', (300, 300)),
    ],
)
def test_the_training_pipeline_says_how_large_images_are(path, size):
    assert input_size_of(load_config(path)) == size


def step(kind, **arguments):
    return dict(type=kind, **arguments)


CROP = step('CenterCrop', crop_size=48)


@pytest.mark.parametrize(
    'train, size',
    [
        ([step('RandomResizedCrop', scale=(32, 40)), step('PackInputs')], (32, 40)),
        ([step('Resize', scale=(40, 32))], (32, 40)),
        ([step('mmpretrain.RandomCrop', crop_size=32, padding=4)], (32, 32)),
        ([step('Resize', scale=32), step('RandomFlip', prob=0.5)], (32, 32)),
        # Of several sizes, or nobody knows which: as in the test.
        ([step('Resize', scale=(40, 32), keep_ratio=True)], (48, 48)),
        ([step('Resize', scale=32), step('ResizeEdge', scale=64)], (48, 48)),
        ([step('mmdet.RandomCrop', crop_size=(32, 32))], (48, 48)),
        (
            [step('Resize', scale=32), step('RandomChoiceResize', scales=[32, 40])],
            (48, 48),
        ),
        (
            [step('RandomChoice', transforms=[[step('Resize', scale=32)], [CROP]])],
            (48, 48),
        ),
        ([step('Resize', scale='large')], (48, 48)),
        ([], (48, 48)),
    ],
)
def test_the_last_step_that_sets_it_counts(train, size):
    loaders = dict(
        train_dataloader=dict(dataset=dict(pipeline=train)),
        test_dataloader=dict(dataset=dict(pipeline=[CROP])),
    )
    assert input_size_of(Config(dict(loaders, default_scope='mmpretrain'))) == size


def test_a_student_is_tried_on_what_it_trains_on_not_on_what_it_is_tested_on():
    loaders = dict(
        train_dataloader=dict(dataset=dict(pipeline=[step('Resize', scale=40)])),
        test_dataloader=dict(dataset=dict(pipeline=[CROP])),
    )
    model = dict(
        type='mmkd.Distiller',
        student=of_one_size(40, says=''),
        teacher=dict(config=toy_classifier(), allow_untrained=True),
        losses=LOSSES,
    )
    build_model(Config(dict(loaders, model=model, default_scope='mmpretrain')))


class TestATeachersOwnSize:
    def test_it_sees_images_of_its_size(self):
        model = build(toy_classifier(), of_one_size(56), input_size=56, probe_size=40)
        data = model.data_preprocessor(classification_batch(size=40), True)
        assert model(**data, mode='loss')['loss_kd'] > 0

    def test_they_are_renormalised_and_then_resized(self):
        teacher = of_one_size(56)
        teacher.data_preprocessor.update(mean=[10.0] * 3, std=[20.0] * 3)
        model = build(toy_classifier(), teacher, input_size=(56, 56), probe_size=40)
        images = torch.randn(2, 3, 40, 40)
        seen = model.teachers['teacher'].begin(images).inputs
        expected = nn.functional.interpolate(
            model.teachers['teacher'].renormalise(images),
            (56, 56),
            mode='bilinear',
            antialias=True,
        )
        assert torch.equal(seen, expected)
        assert abs(seen.mean() - (127.5 - 10) / 20) < 0.5

    def test_the_students_own_changes_nothing(self):
        values = []
        for spec in ({}, dict(input_size=32)):
            model = build(toy_classifier(), toy_classifier(width=12), **spec)
            data = model.data_preprocessor(classification_batch(size=32), True)
            values.append(model(**data, mode='loss')['loss_kd'])
        assert torch.equal(*values)

    def test_its_own_need_says_nothing_about_the_students_images(self):
        model = build(of_one_size(40), of_one_size(56), input_size=56)
        assert model.teachers['teacher'].input_size == (56, 56)

    def test_folding_is_tried_on_it(self):
        inference = dict(fold_bn=True)
        build(toy_classifier(), of_one_size(56), input_size=56, inference=inference)

    def test_a_teacher_that_does_not_take_the_images_says_so_before_a_step(self):
        model = build(toy_classifier(), of_one_size(56))
        data = model.data_preprocessor(classification_batch(size=40), True)
        with pytest.raises(
            ConfigError, match='the teacher cannot .* 40 x 40 .*dict.input_size='
        ):
            model(**data, mode='loss')

    def test_on_a_gpu_nothing_waits(self):
        model = build(toy_classifier(), of_one_size(56), input_size=56).train()
        samples = classification_batch()['data_samples']
        with FakeTensorMode(allow_non_fake_inputs=True):
            model.to('cuda')
            samples = [sample.to('cuda') for sample in samples]
            images = torch.zeros(4, 3, 32, 32, device='cuda')
            losses = model(images, samples, mode='loss')
        assert losses['loss_kd'].device.type == 'cuda'


class TestGreyImages:
    def grey(self):
        model = toy_classifier()
        model.backbone.in_channels = 1
        model.data_preprocessor = dict(mean=[127.5], std=[127.5])
        return model

    def test_a_student_gets_the_channels_that_it_takes(self):
        build(self.grey(), self.grey())

    def test_without_normalisation_too(self):
        student = self.grey()
        student.data_preprocessor = dict()
        build(student, copy.deepcopy(student))

    def test_a_student_without_convolutions_is_told_by_its_preprocessor(self):
        student = self.grey()
        student.backbone = dict(type='mmkd.Patches')
        student.head.in_channels = 4
        build(student, copy.deepcopy(student))

    def test_a_teacher_of_colours_sees_grey_ones(self):
        model = build(self.grey(), toy_classifier(), inference=dict(fold_bn=True))
        images = torch.randn(2, 1, 32, 32)
        seen = model.teachers['teacher'].begin(images).inputs
        assert seen.shape == (2, 3, 32, 32)
        assert torch.equal(seen[:, 0], seen[:, 2])

    def test_a_teacher_of_grey_ones_beside_a_student_of_colours_is_refused(self):
        with pytest.raises(ConfigError, match='the teacher cannot run .*1 channels'):
            build(toy_classifier(), self.grey())
