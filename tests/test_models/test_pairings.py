"""What is lined up: logits of images, box heads on the same RoIs, modules."""

import copy

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models import Distiller, DistillLoss
from mmkd.registry import MODELS
from mmkd.testing import (
    classification_batch,
    detection_batch,
    toy_classifier,
    toy_detector,
)

CLASSES = 5


@MODELS.register_module()
class RecordingLoss(DistillLoss):
    """Keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def compare(self, student, teacher, target):
        self.seen.append((student, teacher, target))
        return (student - teacher).square().mean()


def record(student, on, batch, teacher=None, **arguments):
    """Go forth and back; return the model and what its loss compared."""
    torch.manual_seed(0)
    losses = dict(loss_it=dict(type='RecordingLoss', on=on, **arguments))
    source = dict(config=teacher or student, allow_untrained=True)
    model = Distiller(student, losses, teacher=source).train()
    model.distill['loss_it'].loss.seen.clear()  # of the dry run
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    loss = model(**data, mode='loss')['loss_it']
    loss.backward()
    assert loss.isfinite()
    return model, model.distill['loss_it'].loss.seen


def _gradient(module):
    return sum(parameter.grad.abs().sum() for parameter in module.parameters())


class TestClassification:
    def test_logits_of_the_same_images_with_their_labels(self):
        batch = classification_batch()
        model, seen = record(
            toy_classifier(), 'logits', batch, toy_classifier(width=12)
        )
        ((student, teacher, target),) = seen
        wanted = torch.cat([sample.gt_label for sample in batch['data_samples']])
        assert torch.equal(target, wanted)
        source = model.teachers['teacher'].model
        inputs = source.data_preprocessor(batch)['inputs']
        torch.testing.assert_close(teacher, source(inputs), rtol=1e-4, atol=1e-5)
        assert student.requires_grad and not teacher.requires_grad

    def test_mixed_labels_reach_the_loss_as_they_are(self):
        student = toy_classifier()
        student.train_cfg = dict(augments=dict(type='Mixup', alpha=1.0))
        student.data_preprocessor.num_classes = 10
        _, seen = record(student, 'logits', classification_batch(), toy_classifier())
        target = seen[0][2]
        assert target.shape == (4, 10)
        torch.testing.assert_close(target.sum(dim=1), torch.ones(4))

    def test_hard_label_losses_are_refused_under_mixup(self):
        student = toy_classifier()
        student.train_cfg = dict(augments=dict(type='Mixup', alpha=1.0))
        for soft_targets, allowed in (('error', False), ('argmax', True)):
            spec = dict(type='DKDLoss', on='logits', soft_targets=soft_targets)
            teacher = dict(config=toy_classifier(), allow_untrained=True)

            def build(spec=spec, teacher=teacher):
                return Distiller(student, dict(loss_dkd=spec), teacher=teacher)

            if allowed:
                build()
            else:
                with pytest.raises(ConfigError, match='Mixup, CutMix'):
                    build()


@pytest.mark.parametrize('kind, stages', [('faster', 1), ('mask', 1), ('cascade', 3)])
class TestRoI:
    def test_both_heads_answer_about_the_students_rois(self, kind, stages):
        student = toy_detector(kind, CLASSES)
        teacher = toy_detector(kind, CLASSES, width=12)
        batch = detection_batch(classes=CLASSES, masks=kind == 'mask')
        model, seen = record(student, 'roi.logits', batch, teacher)
        assert len(seen) == stages
        for logits, teacher_logits, target in seen:
            assert logits.shape == teacher_logits.shape == (len(target), CLASSES + 1)
            assert target.max() == CLASSES  # background, last
            assert (target < CLASSES).any()
            assert logits.requires_grad and not teacher_logits.requires_grad
        assert _gradient(model.student.backbone.layer2) > 0

    def test_an_equal_teacher_in_the_same_mode_gives_zero(self, kind, stages):
        """So RoIs, features and order are the same on both sides."""
        student = toy_detector(kind, CLASSES)
        losses = dict(loss_kd=dict(type='KDLoss', on='roi.logits'))
        source = dict(config=student, allow_untrained=True)
        model = Distiller(student, losses, teacher=source).eval()
        model.teachers['teacher'].model.load_state_dict(model.student.state_dict())
        batch = detection_batch(classes=CLASSES, masks=kind == 'mask')
        values = model(**model.data_preprocessor(batch, True), mode='loss')
        assert values['loss_kd'].item() == pytest.approx(0, abs=1e-6)
        noise = torch.randn_like(model.student.backbone.conv1.weight)
        model.student.backbone.conv1.weight.data += noise
        values = model(**model.data_preprocessor(batch, True), mode='loss')
        assert values['loss_kd'] > 1e-6


class TestRoISelection:
    student = toy_detector('faster', CLASSES)
    batch = detection_batch(classes=CLASSES)

    def compare(self, **options):
        on = dict(pairing='roi.logits', **options)
        return record(self.student, on, self.batch)[1][0]

    def test_foreground(self):
        everything = self.compare()
        student, teacher, target = self.compare(select='fg')
        keep = everything[2] < CLASSES
        assert 0 < len(target) < len(keep)
        assert torch.equal(target, everything[2][keep])
        assert torch.equal(student, everything[0][keep])
        assert torch.equal(teacher, everything[1][keep])

    def test_where_the_teacher_is_sure(self):
        everything = self.compare()
        sure = everything[1].softmax(1)[:, :CLASSES].amax(1)
        level = sure.median().item()
        student, _, _ = self.compare(select='teacher_conf', conf=level)
        assert torch.equal(student, everything[0][sure >= level])
        assert 0 < len(student) < len(sure)

    def test_without_background(self):
        everything = self.compare()
        student, teacher, _ = self.compare(background=False)
        assert torch.equal(student, everything[0][:, :CLASSES])
        assert torch.equal(teacher, everything[1][:, :CLASSES])

    def test_what_learns_is_made_for_what_is_compared(self):
        """A layer of the loss as wide as the logits without the background."""
        on = dict(pairing='roi.logits', background=False, select='fg')
        losses = dict(loss_aekt=dict(type='AEKTLoss', on=on))
        source = dict(config=self.student, allow_untrained=True)
        model = Distiller(self.student, losses, teacher=source).train()
        assert model.terms[0].shapes == [((2, CLASSES), (2, CLASSES))]
        values = model(**model.data_preprocessor(self.batch, True), mode='loss')
        assert values['loss_aekt'] > 0

    def test_no_object_gives_a_zero_in_the_graph(self):
        empty = detection_batch(objects=(0, 0), classes=CLASSES)
        losses = dict(
            loss_kd=dict(type='KDLoss', on=dict(pairing='roi.logits', select='fg'))
        )
        source = dict(config=self.student, allow_untrained=True)
        model = Distiller(self.student, losses, teacher=source).train()
        values = model(**model.data_preprocessor(empty, True), mode='loss')
        assert values['loss_kd'].item() == 0 and values['loss_kd'].requires_grad

    def test_box_deltas_of_the_labelled_class(self):
        model, ((student, teacher, _),) = record(self.student, 'roi.boxes', self.batch)
        assert student.shape == teacher.shape and student.shape[1] == 4
        foreground = self.compare(select='fg')[2]
        assert len(student) == len(foreground)

    def test_cascade_stages(self):
        student = toy_detector('cascade', CLASSES)
        on = dict(pairing='roi.logits', stages=[1])
        model, seen = record(student, on, self.batch)
        assert len(seen) == 1
        (shapes,) = [model.distill['loss_it'].shapes]
        assert shapes == [((2, CLASSES + 1),) * 2]


class TestModules:
    def test_five_levels_of_a_neck_through_adapters(self):
        student = toy_detector('faster', CLASSES)
        teacher = toy_detector('faster', CLASSES)
        teacher.neck.out_channels = 24
        teacher.rpn_head.in_channels = teacher.roi_head.bbox_head.in_channels = 24
        teacher.roi_head.bbox_roi_extractor.out_channels = 24
        batch = detection_batch(classes=CLASSES)
        model, seen = record(student, 'neck', batch, teacher)
        adapters = model.distill['loss_it'].adapters
        assert [adapter.weight.shape for adapter in adapters] == [
            (24, student.neck.out_channels, 1, 1)
        ] * 5
        assert [student_map.shape for student_map, _, _ in seen] == [
            teacher_map.shape for _, teacher_map, _ in seen
        ]
        assert all(_gradient(adapter) > 0 for adapter in adapters)
        source = model.teachers['teacher']
        data = model.data_preprocessor(batch, True)
        features = source.model.extract_feat(data['inputs'])
        for (_, teacher_map, _), wanted in zip(seen, features):
            torch.testing.assert_close(teacher_map, wanted, rtol=1e-4, atol=1e-5)

    def test_vectors_through_a_linear_adapter(self):
        teacher = toy_classifier(width=12)
        model, _ = record(toy_classifier(), 'neck', classification_batch(), teacher)
        (adapter,) = model.distill['loss_it'].adapters
        assert adapter.weight.shape == (96, 64)

    def test_an_adapter_of_ones_own(self):
        on = dict(student='neck', adapter=dict(type='LinearAdapter', out_channels=96))
        teacher = toy_classifier(width=12)
        model, _ = record(toy_classifier(), on, classification_batch(), teacher)
        (adapter,) = model.distill['loss_it'].adapters
        assert type(adapter).__name__ == 'LinearAdapter'

    def test_modules_of_other_names(self):
        on = dict(student='backbone.layer1', teacher='backbone.layer1.1')
        model, seen = record(toy_classifier(), on, classification_batch())
        assert len(seen) == 1 and not list(model.distill.parameters())

    def test_inside_the_roi_head_the_students_rois_are_used(self):
        name = 'roi_head.bbox_roi_extractor'
        student = toy_detector('faster', CLASSES)
        _, ((features, teacher_features, _),) = record(
            student, name, detection_batch(classes=CLASSES)
        )
        assert features.shape == teacher_features.shape and features.shape[1:] == (
            student.neck.out_channels,
            7,
            7,
        )


def test_a_detector_of_one_class_has_two_columns_to_compare():
    kinds = 'AEKT CTKD DIST DKD KD LumiNet MLKD NKD OFA WSLD WTTM'.split()
    losses = {f'loss_{k}': dict(type=f'{k}Loss', on='roi.logits') for k in kinds}
    # One column is no distribution, but it is a number.
    alone = dict(pairing='roi.logits', background=False)
    losses['loss_fitnet'] = dict(type='FitNetLoss', on=alone)
    student = toy_detector('faster', 1)
    teacher = dict(config=student, allow_untrained=True)
    model = Distiller(student, losses, teacher=teacher, probe_size=64).train()
    batch = detection_batch(classes=1)
    values = model(**model.data_preprocessor(batch, True), mode='loss')
    weight = model.student.roi_head.bbox_head.fc_cls.weight
    for name in losses:
        (gradient,) = torch.autograd.grad(values[name], weight, retain_graph=True)
        assert gradient.isfinite().all() and gradient.abs().max() > 1e-6, name


def with_head(kind, **arguments):
    student = toy_classifier()
    width = student.head.in_channels
    student.head = dict(type=kind, in_channels=width, **arguments)
    if kind == 'CSRAClsHead':
        student.pop('neck')
    return student


SEVERAL = dict(
    linear=with_head('MultiLabelLinearClsHead', num_classes=10),
    csra=with_head('CSRAClsHead', num_classes=10, num_heads=1, lam=0.1),
    tasks=with_head(
        'MultiTaskHead',
        task_heads=dict(
            color=dict(type='LinearClsHead', num_classes=3),
            shape=dict(type='MultiLabelLinearClsHead', num_classes=4),
        ),
    ),
)
STAGE = dict(
    pairing='logits',
    modules=['backbone'],
    adapter=dict(type='StageClassifierAdapter', width=24),
)
MAPS_AND_HEAD = dict(student=['backbone', 'head'], teacher=['backbone', 'head'])


@pytest.mark.parametrize('side', ['student', 'teacher', 'both'])
@pytest.mark.parametrize('head', SEVERAL)
class TestHeadsOfSeveralLabels:
    """What they say is no distribution over classes, whatever labels the data has."""

    def build(self, head, side, loss):
        several, single = SEVERAL[head], toy_classifier()
        return Distiller(
            single if side == 'teacher' else several,
            dict(loss_it=loss),
            teacher=dict(
                config=single if side == 'student' else several, allow_untrained=True
            ),
            probe_size=32,
        )

    @pytest.mark.parametrize(
        'loss',
        [
            dict(type='KDLoss', on='logits'),
            dict(type='FitNetLoss', on='logits'),
            dict(type='SDDLoss', on='cells.logits'),
            dict(type='OFALoss', on=STAGE),
            dict(type='KDLoss', on='head'),
            dict(type='LSKDLoss', on='head'),
            dict(type='UniKDLoss', on=MAPS_AND_HEAD),
        ],
        ids=lambda loss: f'{loss["type"]}-{str(loss["on"])[:12]}',
    )
    def test_are_refused_as_predictions(self, head, side, loss):
        with pytest.raises(ConfigError, match='says yes or no to|predicts several thi'):
            self.build(head, side, loss)

    def test_give_features(self, head, side):
        self.build(head, side, dict(type='FitNetLoss', on='backbone.layer4'))


def test_heads_of_one_of_several_tasks_are_compared():
    several = SEVERAL['tasks']
    loss = dict(type='KDLoss', on='head.task_heads.color')
    source = dict(config=several, allow_untrained=True)
    Distiller(several, dict(loss_it=loss), teacher=source, probe_size=32)
    with pytest.raises(ConfigError, match='MultiLabelLinearClsHead of the student'):
        loss = dict(loss, on='head.task_heads.shape')
        Distiller(several, dict(loss_it=loss), teacher=source, probe_size=32)


class TestRefusedByName:
    """What would be compared wrongly, or end after hours."""

    def build(self, student, on, kind='KDLoss'):
        losses = dict(loss_kd=dict(type=kind, on=on))
        teacher = dict(config=student, allow_untrained=True)
        return Distiller(student, losses, teacher=teacher, probe_size=64)

    def test_logits_that_hang_on_the_label(self):
        student = toy_classifier()
        student.head = dict(type='ArcFaceClsHead', in_channels=64, num_classes=10)
        with pytest.raises(ConfigError, match='ArcFaceClsHead of the student changes'):
            self.build(student, 'logits')

    def test_columns_that_are_no_classes(self):
        student = toy_detector('faster', CLASSES)
        head = student.roi_head.bbox_head
        head.loss_cls = dict(type='SeesawLoss', num_classes=CLASSES)
        with pytest.raises(ConfigError, match='SeesawLoss of the student gives'):
            self.build(student, 'roi.logits')

    def test_one_class_without_background(self):
        on = dict(pairing='roi.logits', background=False, select='fg')
        with pytest.raises(ConfigError, match='fewer than 2 columns'):
            self.build(toy_detector('faster', 1), on)

    def test_two_classes_without_background_that_are_standardised(self):
        on = dict(pairing='roi.logits', background=False, select='fg')
        with pytest.raises(ConfigError, match='fewer than 3 columns'):
            self.build(toy_detector('faster', 2), on, 'LSKDLoss')

    def test_boxes_of_a_batch_without_objects_are_a_zero(self):
        student = toy_detector('faster', CLASSES)
        losses = dict(loss_box=dict(type='FitNetLoss', on='roi.boxes'))
        teacher = dict(config=student, allow_untrained=True)
        model = Distiller(student, losses, teacher=teacher).train()
        empty = detection_batch(objects=(0, 0), classes=CLASSES)
        value = model(**model.data_preprocessor(empty, True), mode='loss')['loss_box']
        assert value.item() == 0 and value.requires_grad

    def test_images_with_several_labels(self):
        model = self.build(toy_classifier(), 'logits')
        batch = classification_batch(n=2)
        for sample, labels in zip(batch['data_samples'], ([1, 2], [])):
            sample.set_gt_label(torch.tensor(labels, dtype=torch.long))
        data = model.data_preprocessor(batch, False)
        with pytest.raises(ConfigError, match='there are images with 0, 2 labels'):
            model.terms[0].pairing._target(data['data_samples'])
