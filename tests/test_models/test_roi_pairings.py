"""RoI heads of two detectors: which calls, rows, stages and heads are compared."""

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmdet.registry import MODELS as MMDET_MODELS

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.testing import detection_batch, shrink, toy_detector

CLASSES = 5
HEAD = 'roi_head.bbox_head'


@functools.cache
def read_config(kind):
    if kind == 'cascade_mask':
        model = shrink('mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py').model
        heads = [*model.roi_head.bbox_head, model.roi_head.mask_head]
        for head in heads:
            head.num_classes = CLASSES
        model._scope_ = 'mmdet'
        return model
    return toy_detector(kind, CLASSES)


def network(kind='faster', width=None):
    if width is not None:
        return toy_detector(kind, CLASSES, width=width)
    return copy.deepcopy(read_config(kind))


def distiller(student, teacher=None, on='roi.logits', same=False, **losses):
    """A Distiller in training; ``same`` gives the teacher the student's weights."""
    torch.manual_seed(0)
    losses = losses or dict(loss_it=dict(type='FitNetLoss'))
    losses = {name: dict(dict(on=on), **spec) for name, spec in losses.items()}
    source = dict(config=copy.deepcopy(teacher or student), allow_untrained=True)
    model = Distiller(student, losses, teacher=source, probe_size=64).train()
    if same:
        model.teachers['teacher'].model.load_state_dict(model.student.state_dict())
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
    return model


def step(model, objects=(3, 2), masks=False, seed=1):
    """Return the losses of a step, and what each term compared, by name."""
    batch = detection_batch(objects, CLASSES, size=96, masks=masks)
    data = model.data_preprocessor(batch, True)
    seen, handles = {}, []
    for term in model.terms:
        keep = functools.partial(lambda name, _, args: seen.update({name: args[0]}))
        handles.append(
            term.register_forward_pre_hook(functools.partial(keep, term.name))
        )
    torch.manual_seed(seed)  # of the sampled RoIs
    losses = model(**data, mode='loss')
    for handle in handles:
        handle.remove()
    return losses, seen


def watch(module):
    """Keep the inputs and the output of a module's calls."""
    calls = []
    module.register_forward_hook(lambda _, args, out: calls.append((args, out)))
    return calls


def total_of(losses):
    flat = [
        v if torch.is_tensor(v) else sum(v) for k, v in losses.items() if 'loss' in k
    ]
    return sum(value.sum() for value in flat)


def sampling(kind):
    """A student whose sampler asks its box head before the loss does."""
    student = network()
    rcnn = student.train_cfg.rcnn
    if kind == 'OHEM':
        rcnn.sampler.type = 'OHEMSampler'
        return student
    student.roi_head.type = 'PISARoIHead'
    # No score is so high, so that mmcv's nms_match is not needed.
    rcnn.sampler.update(type='ScoreHLRSampler', k=0.5, bias=0.0, score_thr=1.0)
    rcnn.update(isr=dict(k=2, bias=0), carl=dict(k=1, bias=0.2))
    return student


@pytest.mark.parametrize('kind', ['OHEM', 'PISA'])
class TestSamplersThatAskTheBoxHead:
    def test_what_the_loss_trains_on_is_compared(self, kind):
        model = distiller(sampling(kind), same=True)
        head = watch(model.student.get_submodule(HEAD))
        trained = watch(model.student.get_submodule(f'{HEAD}.loss_cls'))
        _, seen = step(model)
        assert len(head) > 1  # so that there is something to choose from
        ((logits, labels, *_), _) = trained[-1]
        aligned = seen['loss_it']
        assert aligned.student[0] is logits and logits.requires_grad
        assert aligned.targets[0] is labels and (labels < CLASSES).any()
        torch.testing.assert_close(aligned.teacher[0], logits, rtol=0, atol=1e-5)

    def test_the_gradient_is_that_of_the_same_rows_by_hand(self, kind):
        model = distiller(sampling(kind), network(width=12))
        step(model)[0]['loss_it'].backward()
        weight = model.student.backbone.layer3[0].conv1.weight
        wanted, weight.grad = weight.grad, None
        trained = watch(model.student.get_submodule(f'{HEAD}.loss_cls'))
        extracted = watch(model.student.roi_head.bbox_roi_extractor)
        step(model)
        logits, rois = trained[-1][0][0], extracted[-1][0][1]
        teacher = model.teachers['teacher'].model
        batch = detection_batch((3, 2), CLASSES, size=96)
        inputs = model.data_preprocessor(batch, True)['inputs']
        known = teacher.roi_head._bbox_forward(teacher.extract_feat(inputs), rois)
        by_hand = (logits - known['cls_score']).square().mean()
        (gradient,) = torch.autograd.grad(by_hand, weight)
        assert gradient.any()
        torch.testing.assert_close(wanted, gradient)

    @pytest.mark.parametrize('on', ['roi.boxes', f'{HEAD}.fc_cls', 'roi.cells'])
    def test_of_other_pairings_and_modules_too(self, kind, on):
        losses = dict(type='SDDLoss' if on == 'roi.cells' else 'FitNetLoss')
        model = distiller(sampling(kind), on=on, same=True, loss_it=losses)
        _, seen = step(model)
        for student, teacher in zip(seen['loss_it'].student, seen['loss_it'].teacher):
            assert student.requires_grad and len(student)
            torch.testing.assert_close(student, teacher, rtol=0, atol=1e-5)

    @pytest.mark.parametrize('on', ['roi.logits', f'{HEAD}.fc_cls'])
    def test_without_gradients_nobody_can_tell(self, kind, on):
        model = distiller(sampling(kind), on=on)
        with torch.no_grad(), pytest.raises(ConfigError, match='with gradients'):
            step(model)


class TestNoRows:
    def losses(self, kind):
        logits = dict(
            all=dict(pairing='roi.logits'),
            fg=dict(pairing='roi.logits', select='fg'),
            sure=dict(pairing='roi.logits', select='teacher_conf', conf=1.0),
            no_background=dict(pairing='roi.logits', select='fg', background=False),
        )
        terms = {f'loss_{k}': dict(type='KDLoss', on=on) for k, on in logits.items()}
        terms['loss_boxes'] = dict(type='FitNetLoss', on='roi.boxes')
        for select in ('all', 'fg'):
            on = dict(pairing='roi.cells', select=select)
            terms[f'loss_cells_{select}'] = dict(type='SDDLoss', on=on)
        if 'mask' in kind:
            terms['loss_masks'] = dict(type='KDLoss', on='roi.masks')
        return terms

    @pytest.mark.parametrize('agnostic', [False, True])
    @pytest.mark.parametrize('kind', ['faster', 'mask'])
    def test_of_images_without_objects_and_without_proposals(self, kind, agnostic):
        student = network(kind)
        student.roi_head.bbox_head.reg_class_agnostic = agnostic
        if kind == 'mask':
            student.roi_head.mask_head.class_agnostic = agnostic
        model = distiller(student, **self.losses(kind))
        for objects in ((3, 0), (0, 0), None):
            if objects is None:  # no RoI at all
                self.propose_nothing(model.student)
            losses, seen = step(model, objects or (0, 0), masks=kind == 'mask')
            model.zero_grad()
            total_of(losses).backward()
            for name, aligned in seen.items():
                (rows,) = aligned.student
                assert len(rows) == len(aligned.teacher[0])
                assert losses[name].isfinite() and losses[name].requires_grad
                some = objects == (3, 0) or objects and name.endswith('all')
                assert (len(rows) > 0) == bool(some and name != 'loss_sure'), name

    @pytest.mark.parametrize('kind', ['cascade', 'cascade_mask'])
    def test_of_stages_that_did_not_run(self, kind):
        masks = kind == 'cascade_mask'
        stages = dict(student=[0, 2], teacher=[1, 2])
        losses = self.losses(kind)
        losses['loss_cross'] = dict(
            type='KDLoss', on=dict(pairing='roi.logits', stages=stages)
        )
        model = distiller(network(kind), **losses)
        ended, _ = model.student.roi_head.bbox_head[:2]
        ended.refine_bboxes = lambda *args: None
        losses, seen = step(model, masks=masks)
        total_of(losses).backward()
        for name, aligned in seen.items():
            for side in aligned[:3]:
                first, *rest = [0 if rows is None else len(rows) for rows in side]
                assert not any(rest), name
            assert losses[name].isfinite()

    @staticmethod
    def propose_nothing(student):
        propose = student.rpn_head.loss_and_predict

        def nothing(*args, **kwargs):
            losses, proposals = propose(*args, **kwargs)
            return losses, [boxes[:0] for boxes in proposals]

        student.rpn_head.loss_and_predict = nothing


@MMDET_MODELS.register_module()
class WithoutBackground(ConvFCBBoxHead):
    """Of a project that has as many columns as classes."""

    def forward(self, maps):
        logits, deltas = super().forward(maps)
        return logits[:, :-1], deltas


def head_of(kind):
    """A detector with a box head of some kind."""
    cfg = network()
    head = cfg.roi_head.bbox_head
    if kind in ('sigmoid', 'focal'):
        losses = dict(sigmoid='CrossEntropyLoss', focal='FocalLoss')
        head.loss_cls = dict(type=losses[kind], use_sigmoid=True)
    elif kind == 'seesaw':
        head.loss_cls = dict(type='SeesawLoss', num_classes=CLASSES)
    elif kind == 'custom':
        head.loss_cls = dict(type='CrossEntropyCustomLoss', num_classes=CLASSES)
    elif kind == 'sets':
        cfg.roi_head.type = 'MultiInstanceRoIHead'
        head.type = 'MultiInstanceBBoxHead'
    elif kind == 'columns':
        head.update(type='WithoutBackground', num_shared_fcs=1)
    elif kind == 'without boxes':  # as Grid R-CNN
        head.with_reg = False
    elif kind == 'double':
        cfg.roi_head.update(type='DoubleHeadRoIHead', reg_roi_scale_factor=1.3)
        shape = dict(num_convs=1, num_fcs=1, conv_out_channels=32)
        head.update(type='DoubleConvFCBBoxHead', **shape)
    elif kind == 'sabl':
        cfg.roi_head.bbox_head = dict(
            type='SABLHead',
            num_classes=CLASSES,
            cls_in_channels=32,
            reg_in_channels=32,
            cls_out_channels=32,
            reg_offset_out_channels=32,
            reg_cls_out_channels=32,
            num_reg_fcs=1,
            bbox_coder=dict(
                type='BucketingBBoxCoder', num_buckets=14, scale_factor=1.7
            ),
            loss_cls=dict(type='CrossEntropyLoss'),
            loss_bbox_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
            loss_bbox_reg=dict(type='SmoothL1Loss', beta=0.1),
        )
    return cfg


class TestHeads:
    @pytest.mark.parametrize('side', ['student', 'teacher'])
    @pytest.mark.parametrize(
        'kind, why',
        dict(
            sigmoid='CrossEntropyLoss of the {} says yes or no',
            focal='FocalLoss of the {} says yes or no',
            seesaw='SeesawLoss of the {} gives scores columns',
            custom='CrossEntropyCustomLoss of the {} gives scores columns',
            sets='MultiInstanceBBoxHead of the {} predicts several sets',
            columns=r'WithoutBackground of the {} gives .* which are not 6 columns',
        ).items(),
    )
    def test_scores_that_are_no_softmax_with_background(self, kind, why, side):
        sides = dict(student=network(), teacher=network())
        sides[side] = head_of(kind)
        with pytest.raises(ConfigError, match=why.format(side)):
            distiller(**sides)

    @pytest.mark.parametrize('kind', ['double', 'sabl', 'without boxes'])
    def test_logits_of_heads_that_predict_boxes_otherwise(self, kind):
        model = distiller(head_of(kind), same=True)
        aligned = step(model)[1]['loss_it']
        ((student,), (teacher,), (labels,), *_) = aligned
        assert student.shape == (len(labels), CLASSES + 1) and student.requires_grad
        torch.testing.assert_close(student, teacher, rtol=0, atol=1e-5)

    @pytest.mark.parametrize('side', ['student', 'teacher'])
    @pytest.mark.parametrize('kind', ['sabl', 'without boxes', 'sets'])
    def test_boxes_of_heads_that_have_none(self, kind, side):
        sides = dict(student=network(), teacher=network())
        sides[side] = head_of(kind)
        with pytest.raises(ConfigError, match=f"'roi.boxes': the .* of the {side} "):
            distiller(**sides, on='roi.boxes')

    @pytest.mark.parametrize('kind', ['double', 'sigmoid', 'seesaw'])
    def test_boxes_do_not_mind_how_classes_are_scored(self, kind):
        aligned = step(distiller(head_of(kind), on='roi.boxes', same=True))[1]
        ((student,), (teacher,), *_) = aligned['loss_it']
        assert student.shape == (len(student), 4) and len(student)
        torch.testing.assert_close(student, teacher, rtol=0, atol=1e-5)

    def test_cells_of_a_head_that_takes_two_maps(self):
        with pytest.raises(ConfigError, match='DoubleConvFCBBoxHead of the student ta'):
            distiller(head_of('double'), on='roi.cells', loss_it=dict(type='SDDLoss'))


CROSS = dict(student=[0], teacher=[2])
BACK = dict(student=[2, 0, 1], teacher=[0, 0, 0])


def answer(model, rois, stage=None):
    """What the teacher's box head says about RoIs."""
    teacher = model.teachers['teacher'].model
    inputs = model.data_preprocessor(detection_batch((3, 2), CLASSES, size=96), True)
    stage = () if stage is None else (stage,)
    feats = teacher.extract_feat(inputs['inputs'])
    with torch.no_grad():
        return teacher.roi_head._bbox_forward(*stage, feats, rois)['cls_score']


class TestStages:
    def test_a_cascade_teacher_and_a_student_of_one_stage(self):
        on = dict(pairing='roi.logits', stages=CROSS)
        model = distiller(network(), network('cascade'), on=on)
        extracted = watch(model.student.roi_head.bbox_roi_extractor)
        trained = watch(model.student.roi_head.bbox_head.loss_cls)
        ((student,), (teacher,), (labels,), *_) = step(model)[1]['loss_it']
        assert student is trained[0][0][0] and labels is trained[0][0][1]
        assert (labels < CLASSES).any()
        rois = extracted[0][0][1]
        torch.testing.assert_close(teacher, answer(model, rois, 2))
        assert (teacher - answer(model, rois, 0)).abs().max() > 1e-3

    def test_the_reverse(self):
        on = dict(pairing='roi.logits', stages=BACK)
        model = distiller(network('cascade'), network(), on=on)
        extractors = model.student.roi_head.bbox_roi_extractor
        extracted = [watch(extractor) for extractor in extractors]
        trained = [watch(h.loss_cls) for h in model.student.roi_head.bbox_head]
        aligned = step(model)[1]['loss_it']
        for number, stage in enumerate(BACK['student']):
            assert aligned.student[number] is trained[stage][0][0][0]
            assert aligned.targets[number] is trained[stage][0][0][1]
            wanted = answer(model, extracted[stage][0][0][1])
            torch.testing.assert_close(aligned.teacher[number], wanted)

    def test_two_terms_that_ask_differently_and_a_module(self):
        last = 'roi_head.bbox_head.2'
        model = distiller(
            network('cascade'),
            loss_own=dict(type='FitNetLoss'),
            loss_cross=dict(
                type='FitNetLoss', on=dict(pairing='roi.logits', stages=CROSS)
            ),
            loss_module=dict(type='FitNetLoss', on=f'{last}.fc_cls'),
        )
        head = watch(model.teachers['teacher'].model.get_submodule(last))
        extractors = model.student.roi_head.bbox_roi_extractor
        extracted = [watch(extractor) for extractor in extractors]
        seen = step(model)[1]
        rois = [calls[0][0][1] for calls in extracted]
        for stage in range(3):
            known = seen['loss_own'].teacher[stage]
            torch.testing.assert_close(known, answer(model, rois[stage], stage))
        ((cross,), (module,)) = (
            seen[name].teacher for name in ('loss_cross', 'loss_module')
        )
        torch.testing.assert_close(cross, answer(model, rois[0], 2))
        torch.testing.assert_close(module, answer(model, rois[2], 2))
        # Once for each RoIs, however many ask; the rest are of the line above.
        assert len(head) == 2 + 3

    def test_every_loss_of_rows(self):
        kinds = 'AEKT CTKD DIST DKD KD LSKD LumiNet MLKD NKD WSLD WTTM'.split()
        more = dict(LSKD=dict(loss=dict(type='KDLoss')))
        on = dict(pairing='roi.logits', stages=CROSS)
        losses = {
            f'loss_{kind}': dict(type=f'{kind}Loss', on=on, **more.get(kind, {}))
            for kind in kinds
        }
        losses['loss_sdd'] = dict(type='SDDLoss', on=dict(on, pairing='roi.cells'))
        model = distiller(network(), network('cascade'), **losses)
        values, _ = step(model)
        weight = model.student.roi_head.bbox_head.fc_cls.weight
        for name in losses:
            (gradient,) = torch.autograd.grad(values[name], weight, retain_graph=True)
            assert gradient.isfinite().all() and gradient.any(), name

    def test_other_numbers_of_stages_have_to_be_paired(self):
        with pytest.raises(ConfigError, match=r'1 stages .* 3 .*teacher=\[2\]'):
            distiller(network(), network('cascade'))

    @pytest.mark.parametrize(
        'stages, why',
        [
            (dict(student=[0]), 'a dict of one each'),
            (dict(student=[0], teacher=[0], other=[0]), 'a dict of one each'),
            (dict(student=[0], teacher=[0, 1]), 'as many stages'),
            (dict(student=[0], teacher=[3]), r'\[3\] .*the 3 heads of the teacher'),
            (dict(student=[1], teacher=[0]), r'\[1\] .*the 1 heads of the student'),
            (dict(student=[0], teacher=0), 'heads of the teacher'),
            (dict(student=[], teacher=[]), 'heads of the student'),
            ([True], 'say which compare'),
        ],
    )
    def test_pairs_that_are_none(self, stages, why):
        with pytest.raises(ConfigError, match=why):
            on = dict(pairing='roi.logits', stages=stages)
            distiller(network(), network('cascade'), on=on)

    def test_boxes_in_other_units(self):
        on = dict(pairing='roi.boxes', stages=dict(student=[1], teacher=[0]))
        with pytest.raises(ConfigError, match='different units'):
            distiller(network('cascade'), on=on)
        on['stages'] = dict(student=[1], teacher=[1])
        distiller(network('cascade'), on=on)


class TestMasks:
    KD = dict(loss_it=dict(type='KDLoss', on='roi.masks', tau=1.0))

    def run(self, model, paths):
        """A step, and what was recorded of a stage of the student's mask head."""
        extractor, head = map(model.student.get_submodule, paths)
        rois, trained = watch(extractor), watch(head.loss_mask)
        losses, seen = step(model, masks=True)
        (masks, targets, labels), _ = trained[0]
        return losses, seen['loss_it'], rois[-1][0][1], masks, targets, labels

    def known(self, model, rois, *stage):
        teacher = model.teachers['teacher'].model
        batch = detection_batch((3, 2), CLASSES, size=96)
        inputs = model.data_preprocessor(batch, True)['inputs']
        with torch.no_grad():
            feats = teacher.extract_feat(inputs)
            return teacher.roi_head._mask_forward(*stage, feats, rois)['mask_preds']

    @pytest.mark.parametrize('kind', ['mask', 'cascade_mask'])
    def test_pixels_of_the_students_objects(self, kind):
        stages = range(3) if kind == 'cascade_mask' else [None]
        model = distiller(network(kind), **self.KD)
        numbered = ['' if stage is None else f'.{stage}' for stage in stages]
        heads = [f'roi_head.mask_head{number}' for number in numbered]
        extractors = [f'roi_head.mask_roi_extractor{number}' for number in numbered]
        rois = [watch(model.student.get_submodule(path)) for path in extractors]
        trained = [
            watch(model.student.get_submodule(f'{path}.loss_mask')) for path in heads
        ]
        losses, seen = step(model, masks=True)
        aligned = seen['loss_it']
        for index, stage in enumerate(stages):
            (masks, targets, labels), _ = trained[index][0]
            count = len(labels)
            assert count > 1 and len(labels.unique()) > 1 and masks.requires_grad
            arguments = [] if stage is None else [stage]
            known = self.known(model, rois[index][0][0][1], *arguments)
            for side, of_classes in (('student', masks), ('teacher', known)):
                rows = getattr(aligned, side)[index]
                wanted = of_classes[range(count), labels].reshape(-1)
                assert rows.shape == (len(wanted), 2) and not rows[:, 1].any()
                torch.testing.assert_close(rows[:, 0], wanted)
            foreground = (aligned.targets[index] == 0).reshape(targets.shape)
            assert torch.equal(foreground, targets == 1) and foreground.any()
        losses['loss_it'].backward()
        assert model.student.backbone.layer2[0].conv1.weight.grad.any()

    def test_kd_is_binary_cross_entropy_less_the_entropy(self):
        model = distiller(network('mask'), network('mask', width=12), **self.KD)
        paths = 'roi_head.mask_roi_extractor', 'roi_head.mask_head'
        losses, _, rois, masks, _, labels = self.run(model, paths)
        known = self.known(model, rois)[range(len(labels)), labels]
        by_hand = F.binary_cross_entropy_with_logits(
            masks[range(len(labels)), labels], known.sigmoid()
        ) - F.binary_cross_entropy_with_logits(known, known.sigmoid())
        torch.testing.assert_close(losses['loss_it'], by_hand, rtol=1e-4, atol=1e-8)

    @pytest.mark.parametrize(
        'which', ['agnostic', 'shared', 'scoring', 'cascade', 'cascade shared']
    )
    def test_the_students_own_weights_give_zero(self, which):
        student = network('cascade_mask' if 'cascade' in which else 'mask')
        roi_head, stages = student.roi_head, student.train_cfg.rcnn
        if which == 'agnostic':
            roi_head.mask_head.class_agnostic = True
        elif 'shared' in which:
            roi_head.mask_roi_extractor = None
            for stage in stages if 'cascade' in which else [stages]:
                stage.mask_size = 14
        elif which == 'scoring':
            roi_head.type = 'MaskScoringRoIHead'
            student.train_cfg.rcnn.mask_thr_binary = 0.5
            roi_head.mask_iou_head = dict(
                type='MaskIoUHead',
                num_convs=1,
                num_fcs=1,
                in_channels=32,
                conv_out_channels=8,
                fc_out_channels=8,
                num_classes=CLASSES,
            )
        model = distiller(student, same=True, **self.KD)
        losses, seen = step(model, masks=True)
        for student, teacher in zip(seen['loss_it'].student, seen['loss_it'].teacher):
            assert len(student) and student.requires_grad
            torch.testing.assert_close(student, teacher, rtol=0, atol=1e-5)
        assert losses['loss_it'].item() == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize('kind', ['RKD', 'SP', 'PKT', 'MLKD'])
    def test_pixels_are_too_many_to_be_compared_with_each_other(self, kind):
        with pytest.raises(ConfigError, match='rows of roi.masks.* are pixels'):
            distiller(network('mask'), loss_it=dict(type=f'{kind}Loss', on='roi.masks'))

    def test_an_agnostic_teacher(self):
        teacher = network('mask')
        teacher.roi_head.mask_head.class_agnostic = True
        model = distiller(network('mask'), teacher, **self.KD)
        paths = 'roi_head.mask_roi_extractor', 'roi_head.mask_head'
        _, aligned, rois, *_ = self.run(model, paths)
        wanted = self.known(model, rois)[:, 0].reshape(-1)
        torch.testing.assert_close(aligned.teacher[0][:, 0], wanted)
        with pytest.raises(ConfigError, match='choose class_agnostic alike'):
            distiller(teacher, network('mask'), **self.KD)

    def test_stages_of_a_cascade_teacher(self):
        on = dict(pairing='roi.masks', stages=CROSS)
        losses = dict(loss_it=dict(type='KDLoss', on=on))
        model = distiller(network('mask'), network('cascade_mask'), **losses)
        paths = 'roi_head.mask_roi_extractor', 'roi_head.mask_head'
        _, aligned, rois, _, _, labels = self.run(model, paths)
        wanted = self.known(model, rois, 2)[range(len(labels)), labels].reshape(-1)
        torch.testing.assert_close(aligned.teacher[0][:, 0], wanted)

    def test_masks_of_other_sizes(self):
        teacher = network('mask')
        teacher.roi_head.mask_roi_extractor.roi_layer.output_size = 7
        with pytest.raises(ConfigError, match=r'student are \(5, 28, 28\)'):
            distiller(network('mask'), teacher, **self.KD)

    @pytest.mark.parametrize('side', ['student', 'teacher'])
    def test_detectors_without_masks(self, side):
        sides = dict(student=network('mask'), teacher=network('mask'))
        sides[side] = network()
        with pytest.raises(ConfigError, match=f'the {side} .*has no mask head'):
            distiller(**sides, **self.KD)

    def test_roi_heads_that_run_their_mask_head_in_their_own_way(self):
        student = network('cascade_mask')
        student.roi_head.update(type='HybridTaskCascadeRoIHead', semantic_head=None)
        student.roi_head.mask_head.type = 'HTCMaskHead'
        with pytest.raises(ConfigError, match='HybridTaskCascadeRoIHead of the stud'):
            distiller(student, **self.KD)

    def test_every_loss_of_rows(self):
        # MLKD compares all rows with each other, of which there are too many.
        kinds = 'AEKT CTKD DKD FitNet KD LumiNet NKD WSLD WTTM'.split()
        losses = {f'loss_{kind}': dict(type=f'{kind}Loss') for kind in kinds}
        model = distiller(network('mask'), network('mask', 12), 'roi.masks', **losses)
        values, _ = step(model, masks=True)
        weight = model.student.roi_head.mask_head.conv_logits.weight
        for name in losses:
            (gradient,) = torch.autograd.grad(values[name], weight, retain_graph=True)
            assert gradient.isfinite().all() and gradient.any(), name
