"""Teachers that pad further, or see images of another size, and maps of two sizes."""

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmkd.errors import ConfigError
from mmkd.models import Distiller, DistillLoss
from mmkd.models.taps import Taps
from mmkd.registry import MODELS
from mmkd.testing import (
    classification_batch,
    detection_batch,
    shrink,
    toy_classifier,
    toy_detector,
)

UNTRAINED = dict(allow_untrained=True)


class Keep(DistillLoss):
    """Keeps what it is given; takes maps of one size."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def compare(self, student, teacher, target):
        self.seen.append((student, teacher))
        return (student - teacher).square().mean()


class KeepAny(Keep):
    """Takes maps of two sizes."""

    adapts = False

    def compare(self, student, teacher, target):
        self.seen.append((student, teacher))
        return student.square().mean()


@pytest.fixture(autouse=True, scope='module')
def registered():
    for kind in (Keep, KeepAny):
        MODELS.register_module(module=kind)
    yield
    for kind in (Keep, KeepAny):
        MODELS.module_dict.pop(kind.__name__)


@functools.cache
def stock():
    model = shrink('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').model
    model.backbone.depth = 18
    model.neck.in_channels = [8, 16, 32, 64]
    model.bbox_head.num_classes = 5
    return dict(model, _scope_='mmdet')


def retinanet(**preprocessor):
    model = copy.deepcopy(stock())
    model['data_preprocessor'].update(preprocessor)
    return model


def faster(**preprocessor):
    model = toy_detector('faster')
    model.data_preprocessor.update(preprocessor)
    return model


def build(student, teacher, on, kind='Keep', **spec):
    torch.manual_seed(0)
    probe = dict(probe_size=spec.pop('probe_size', None))
    source = dict(config=teacher, **UNTRAINED, **spec)
    losses = dict(loss_it=dict(type=kind, on=on))
    model = Distiller(student, losses, teacher=source, **probe).train()
    if hasattr(model.terms[0].loss, 'seen'):
        model.terms[0].loss.seen.clear()  # of the dry run
    return model


def step(model, batch):
    """Go forth and back; return the batch as the student saw it, and what it kept."""
    model.terms[0].loss.seen.clear()
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    model(**data, mode='loss')['loss_it'].backward()
    return data, model.terms[0].loss.seen


def own_features(model, batch):
    """What the teacher makes of a batch that its own preprocessor prepared."""
    teacher = model.teachers['teacher'].model
    inputs = teacher.data_preprocessor(copy.deepcopy(batch), False)['inputs']
    with torch.no_grad():
        return teacher, inputs, teacher.extract_feat(inputs)


FURTHER = dict(pad_size_divisor=128, pad_value=3, mean=[0.0, 0.0, 0.0])


class TestPadding:
    batch = detection_batch(size=96)

    @pytest.mark.parametrize('on', ['neck', 'bbox_head', 'backbone'])
    def test_maps_are_the_teachers_own_without_the_padding(self, on):
        model = build(retinanet(), retinanet(**FURTHER), on)
        _, seen = step(model, self.batch)
        teacher, inputs, features = own_features(model, self.batch)
        assert inputs.shape[2:] == (128, 128)
        if on == 'backbone':
            features = teacher.backbone(inputs)
        elif on == 'bbox_head':
            features = sum(map(list, teacher.bbox_head(features)), [])
        assert len(seen) == len(features) > 3
        for (student, compared), wanted in zip(seen, features):
            height, width = student.shape[2:]
            assert compared.shape == student.shape
            wanted = wanted[:, :, :height, :width]
            torch.testing.assert_close(compared, wanted, rtol=1e-4, atol=1e-4)

    def test_boxes_are_where_they_were(self):
        model = build(faster(), faster(**FURTHER), 'roi.logits')
        rois = []
        extractor = model.student.roi_head.bbox_roi_extractor
        extractor.register_forward_hook(lambda _, args, __: rois.append(args[1]))
        _, ((_, compared),) = step(model, self.batch)
        teacher, _, features = own_features(model, self.batch)
        wanted = teacher.roi_head._bbox_forward(features, rois[0])['cls_score']
        torch.testing.assert_close(compared, wanted, rtol=1e-4, atol=1e-4)

    def test_losses_that_take_maps_of_two_sizes_get_the_same(self):
        seen = []
        for kind in ('Keep', 'KeepAny'):
            model = build(retinanet(), retinanet(**FURTHER), 'neck', kind)
            seen.append([teacher for _, teacher in step(model, self.batch)[1]])
        assert all(map(torch.equal, *seen))

    @pytest.mark.parametrize(
        'divisors, size',
        [((32, 128), (96, 160)), ((32, 32), (128, 128)), ((64, 32), (128, 128))],
    )
    def test_a_dry_run_shows_it_where_it_can_come(self, divisors, size):
        pair = [retinanet(pad_size_divisor=divisor) for divisor in divisors]
        model = build(*pair, 'neck')
        height, width = (side // 8 for side in size)
        assert model.terms[0].shapes[0] == ((2, 32, height, width),) * 2

    def test_without_multiples_images_that_need_none_are_left_alone(self):
        model = build(retinanet(pad_size_divisor=1), retinanet(), 'neck')
        teacher = model.teachers['teacher']
        assert teacher.begin(torch.zeros(1, 3, 64, 96)).inputs.shape[2:] == (64, 96)
        assert teacher.begin(torch.zeros(1, 3, 60, 97)).inputs.shape[2:] == (64, 128)

    def test_folded_batch_norms_see_it_too(self):
        inference = dict(fold_bn=True)
        model = build(retinanet(), retinanet(**FURTHER), 'neck', inference=inference)
        assert len(step(model, self.batch)[1]) == 5

    def test_of_tokens_nobody_knows_which_are_padding(self):
        network = nn.Sequential(nn.Linear(2, 2))
        with Taps(network, ['0'], 'teacher') as taps:
            taps['0'].crop((96, 96), (128, 128))
            network(torch.zeros(2, 16, 2))
        with pytest.raises(ConfigError, match='tokens, .*pad_size_divisor'):
            taps['0'].outputs()


#: P3 to P6 of a RetinaNet, and P2 to P5 of a Faster R-CNN.
LEVELS = [f'neck.fpn_convs.{level}.conv' for level in range(4)]


class TestResizing:
    def build(self, resize='student', kind='Keep', **on):
        paths = dict(student=LEVELS, teacher=LEVELS, resize=resize)
        return build(retinanet(), faster(), dict(paths, **on), kind)

    @pytest.mark.parametrize('kind', ['Keep', 'KeepAny'])
    @pytest.mark.parametrize('resize', ['student', 'teacher'])
    def test_one_side_gets_the_others_size_in_each_batch(self, resize, kind):
        model = self.build(resize, kind)
        rows = []
        for path in LEVELS:
            for side, network in (
                ('student', model.student),
                ('teacher', model.teachers['teacher'].model),
            ):
                network.get_submodule(path).register_forward_hook(
                    lambda _, __, output, at=(side, path): rows.append((at, output))
                )
        for size in (128, 96):
            rows.clear()
            _, seen = step(model, detection_batch(size=size))
            raw = dict(rows)
            assert len(seen) == 4
            for path, sides in zip(LEVELS, seen):
                for side, compared in zip(('student', 'teacher'), sides):
                    other = raw['teacher' if side == 'student' else 'student', path]
                    wanted = raw[side, path]
                    if side == resize:
                        wanted = F.interpolate(
                            wanted,
                            other.shape[2:],
                            mode='bilinear',
                            align_corners=False,
                        )
                    assert torch.equal(compared, wanted)
                    assert compared.shape == (2, 32, *compared.shape[2:])
            assert seen[0][0].requires_grad
        assert model.student.backbone.layer2[0].conv1.weight.grad.any()

    def test_what_agrees_is_left_alone(self):
        plain = build(faster(), faster(), 'neck')
        on = dict(student='neck', resize='student')
        resized = build(faster(), faster(), on)
        batch = detection_batch()
        for own, same in zip(step(plain, batch)[1], step(resized, batch)[1]):
            assert torch.equal(own[0], same[0])

    def test_adapters_come_after(self):
        teacher = faster()
        teacher.neck.out_channels = teacher.rpn_head.in_channels = 24
        teacher.roi_head.bbox_roi_extractor.out_channels = 24
        teacher.roi_head.bbox_head.in_channels = 24
        on = dict(student=LEVELS, resize='student')
        model = build(retinanet(), teacher, on)
        for student, compared in step(model, detection_batch())[1]:
            assert student.shape == compared.shape

    def test_maps_of_no_region(self):
        name = 'roi_head.bbox_roi_extractor'
        teacher = faster()
        layer = teacher.roi_head.bbox_roi_extractor.roi_layer
        layer.output_size = teacher.roi_head.bbox_head.roi_feat_size = 5
        model = build(faster(), teacher, dict(student=name, resize='teacher'))
        own, compared = step(model, detection_batch())[1][0]
        assert own.shape == compared.shape and own.shape[2:] == (7, 7)
        pairing = model.terms[0].pairing
        none = torch.zeros(0, 32, 7, 7), torch.zeros(0, 32, 5, 5)
        pairing.tensors = lambda taps, role: [none[role == 'teacher']]
        assert pairing.sides(None, None)[1][0].shape == (0, 32, 7, 7)

    def test_it_is_said(self):
        model = self.build()
        assert "the student's maps resized" in model.terms[0].pairing.describe()
        assert model.terms[0].shapes[0] == ((2, 32, 16, 16), (2, 32, 32, 32))

    def test_other_strides_name_it(self):
        with pytest.raises(ConfigError, match="differ in size.*resize='student' or"):
            self.build(None)

    def test_of_unequal_levels(self):
        on = dict(student=LEVELS[:3], teacher=LEVELS, resize='student')
        with pytest.raises(ConfigError, match='3 tensors .* 4, but resize'):
            build(retinanet(), faster(), on, 'KeepAny')

    @pytest.mark.parametrize('resize', ['both', True, 1, ['student']])
    def test_what_is_no_side(self, resize):
        with pytest.raises(ConfigError, match='resize must be one of'):
            self.build(resize)

    def test_a_loss_that_looks_while_the_student_runs(self):
        on = dict(student=['backbone.layer1', 'backbone.layer2'], resize='student')
        with pytest.raises(ConfigError, match='LAKDLoss compares .* leave resize out'):
            build(toy_classifier(), toy_classifier(), on, 'LAKDLoss')


class TestATeachersOwnSize:
    def test_features_of_a_detector(self):
        model = build(retinanet(), retinanet(), 'neck', input_size=(192, 160))
        batch = detection_batch()
        data, seen = step(model, batch)
        teacher = model.teachers['teacher'].model
        seen_by_it = F.interpolate(
            data['inputs'], (192, 160), mode='bilinear', antialias=True
        )
        with torch.no_grad():
            features = teacher.extract_feat(seen_by_it)
        for (student, compared), wanted in zip(seen, features):
            wanted = F.interpolate(
                wanted, student.shape[2:], mode='bilinear', align_corners=False
            )
            torch.testing.assert_close(compared, wanted, rtol=1e-4, atol=1e-5)
        assert "the teacher's maps resized" in model.terms[0].pairing.describe()

    def test_it_is_padded_as_its_preprocessor_would(self):
        spec = dict(input_size=(192, 160))
        model = build(retinanet(), retinanet(**FURTHER), 'neck', **spec)
        run = model.teachers['teacher'].begin(torch.ones(2, 3, 128, 128))
        assert run.shown == (192, 160) and run.inputs.shape[2:] == (256, 256)
        assert (run.inputs[:, :, 192:] == 3).all()
        assert (run.inputs[:, :, :, 160:] == 3).all()
        for student, compared in step(model, detection_batch())[1]:
            assert student.shape == compared.shape

    def test_the_students_maps_may_be_resized_instead(self):
        on = dict(student='neck', resize='student')
        model = build(retinanet(), retinanet(), on, input_size=256)
        student, compared = step(model, detection_batch())[1][0]
        assert student.shape == compared.shape == (2, 32, 32, 32)

    def test_none_means_that_sizes_have_to_agree(self):
        on = dict(student='neck', resize=None)
        with pytest.raises(ConfigError, match='differ in size'):
            build(retinanet(), retinanet(), on, input_size=256)

    def test_losses_that_take_two_sizes_get_them(self):
        model = build(retinanet(), retinanet(), 'neck', 'KeepAny', input_size=256)
        student, compared = step(model, detection_batch())[1][0]
        assert (student.size(2), compared.size(2)) == (16, 32)

    @pytest.mark.parametrize(
        'make, on, named',
        [
            (faster, 'roi.logits', 'roi_head.bbox_head'),
            (faster, 'roi.boxes', 'roi_head.bbox_head'),
            (faster, 'roi_head.bbox_roi_extractor', 'roi_head.bbox_roi_extractor'),
            (faster, ['neck', 'rpn_head'], 'rpn_head'),
            (retinanet, 'bbox_head', 'bbox_head'),
        ],
    )
    def test_what_speaks_of_places_is_refused_by_name(self, make, on, named):
        with pytest.raises(
            ConfigError, match=f'loss_it.*input_size.*{named}.*leave input_size out'
        ):
            build(make(), make(), on, input_size=256)

    def test_maps_of_a_classifier(self):
        teacher = toy_classifier()
        spec = dict(probe_size=64, input_size=96)
        model = build(toy_classifier(), teacher, 'backbone.layer2', **spec)
        student, compared = step(model, classification_batch(size=64))[1][0]
        assert student.shape == compared.shape
