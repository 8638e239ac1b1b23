"""A teacher that has the student's weights says what the student says."""

import re

import pytest
import torch
from mmdet.models import roi_heads as stock
from mmdet.models.backbones.trident_resnet import TridentConv
from mmengine.config import Config
from torch import nn

from mmkd.configs import build_model, load_config
from mmkd.errors import ConfigError, MisfitError
from mmkd.identity import batch_for, misfits, offered, twins
from mmkd.models.families import Family, family_of, roi_heads, two_stage
from mmkd.models.families.dense import Dense
from mmkd.models.families.two_stage import roi_extractors, rois_of
from mmkd.models.pairings import roi_cells, roi_masks
from mmkd.models.pairings.base import Aligned
from mmkd.models.pairings.modules import ModulePairing
from mmkd.models.pairings.roi import RoIPairing
from mmkd.models.pairings.roi_masks import RoIMasksPairing
from mmkd.models.taps import Call, Taps
from mmkd.registry import MODELS
from mmkd.testing import shrink, toy_classifier, toy_detector

HEAD = 'roi_head.bbox_head'
BOXES = ['neck', 'rpn_head', HEAD, 'roi.logits', 'roi.boxes']
LOGITS = ['neck', HEAD, 'roi.logits']
STAGES = ['neck', f'{HEAD}.1', 'roi.logits', 'roi.boxes']


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Let weights be what may lie in memory, as stock ones are until init_weights."""
    begin = TridentConv.__init__

    def begin_undrawn(module, *args, **kwargs):
        begin(module, *args, **kwargs)
        nn.init.constant_(module.weight, float('nan'))

    monkeypatch.setattr(TridentConv, '__init__', begin_undrawn)


def small(path, **changes):
    cfg = shrink(load_config(f'mmdet::{path}'))
    cfg.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    return cfg


def toy(kind):
    return Config(dict(model=toy_detector(kind)))


def scnet():
    changes = {'roi_head.feat_relay_head.out_conv_channels': 32}
    return small('scnet/scnet_r50_fpn_1x_coco.py', **changes)


def trident(branch):
    cfg = load_config('mmdet::tridentnet/tridentnet_r50-caffe_1x_coco.py')
    roi_head = cfg.model.roi_head
    roi_head.shared_head = None  # it is of one width
    roi_head.bbox_roi_extractor.update(out_channels=128)
    roi_head.bbox_roi_extractor.roi_layer.output_size = 7
    roi_head.bbox_head.in_channels = 128
    cfg.model.rpn_head.update(in_channels=128, feat_channels=32)
    small = dict(base_channels=8, stem_channels=8, test_branch_idx=branch)
    cfg.model.backbone.update(small)
    roi_head.test_branch_idx = branch
    cfg.model.train_cfg.rcnn.sampler.update(num=16, add_gt_as_proposals=True)
    return cfg


#: RoI head -> config, and what it has to compare.
ROI_HEADS = {
    'StandardRoIHead': (lambda: toy('mask'), BOXES),
    'CascadeRoIHead': (lambda: toy('cascade'), STAGES),
    'HybridTaskCascadeRoIHead': (
        lambda: small('htc/htc_r50_fpn_1x_coco.py'),
        [*STAGES, 'roi_head.semantic_head'],
    ),
    'SCNetRoIHead': (scnet, [*STAGES, 'roi_head.glbctx_head']),
    'DoubleHeadRoIHead': (
        lambda: small('double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py'),
        BOXES,
    ),
    'DynamicRoIHead': (
        lambda: small('dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py'),
        BOXES,
    ),
    'GridRoIHead': (
        lambda: small('grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco.py'),
        LOGITS,
    ),
    'MaskScoringRoIHead': (
        lambda: small('ms_rcnn/ms-rcnn_r50-caffe_fpn_1x_coco.py'),
        BOXES,
    ),
    'MultiInstanceRoIHead': (
        lambda: small('crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py'),
        ['neck', HEAD],
    ),
    'PISARoIHead': (
        lambda: small('pisa/faster-rcnn_r50_fpn_pisa_1x_coco.py'),
        BOXES,
    ),
    'PointRendRoIHead': (
        lambda: small('point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py'),
        BOXES,
    ),
    # All branches, as in training.
    'TridentRoIHead': (lambda: trident(-1), ['backbone', *BOXES[1:]]),
}


def test_nothing_else_is_known_to_be_right():
    tested = [*ROI_HEADS, 'PISARoIHead']
    assert set(roi_heads.BESIDE) == {f'mmdet.{name}' for name in tested}


def said(cfg, on):
    torch.manual_seed(0)
    distiller = twins(cfg, on)
    found = misfits(distiller, batch_for(distiller.student))
    return {each: found[f'loss_{index}'] for index, each in enumerate(on)}


@pytest.mark.parametrize('kind', ROI_HEADS)
def test_of_each_roi_head(kind):
    make, on = ROI_HEADS[kind]
    cfg = make()
    assert cfg.model.roi_head.type == kind
    assert said(cfg, on) == {each: [] for each in on}


@pytest.mark.parametrize('kind', ['mask', 'cascade'])
def test_of_masks_and_cells(kind):
    cfg = toy('mask')
    if kind == 'cascade':
        cfg = small('cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py')
    assert not any(said(cfg, ['roi.masks', 'roi.cells']).values())


def test_of_a_loss_of_decoded_boxes():
    cfg = toy('faster')
    head = cfg.model.roi_head.bbox_head
    head.update(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss'))
    assert said(cfg, ['roi.boxes']) == {'roi.boxes': []}


def test_of_pisa_as_a_teacher():
    distiller = twins(toy('faster'), BOXES)
    # It has the weights of a StandardRoIHead; its sampler needs the compiled mmcv.
    distiller.teachers['teacher'].model.roi_head.__class__ = stock.PISARoIHead
    assert not any(misfits(distiller, batch_for(distiller.student)).values())


FCOS = 'fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py'
OTHERS = dict(
    classifier=lambda: Config(dict(model=toy_classifier())),
    fcos=lambda: small(FCOS),
    frozen=lambda: small('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', **FROZEN),
    retinanet=lambda: small('retinanet/retinanet_r50_fpn_1x_coco.py'),
)
FROZEN = {'backbone.frozen_stages': 4}


@pytest.mark.parametrize('kind', OTHERS)
def test_of_other_families(kind):
    cfg = OTHERS[kind]()
    on = offered(cfg.model)
    assert len(on) == 2 and said(cfg, on) == {each: [] for each in on}


def test_of_a_sampler_whose_samples_are_other_ones_each_time():
    cfg = toy('faster')
    libra = dict(type='IoUBalancedNegSampler', floor_thr=-1, num_bins=3)
    cfg.model.train_cfg.rcnn.sampler = dict(
        type='CombinedSampler',
        num=32,
        pos_fraction=0.25,
        add_gt_as_proposals=True,
        pos_sampler=dict(type='InstanceBalancedPosSampler'),
        neg_sampler=dict(libra, floor_fraction=0),
    )
    assert said(cfg, ['roi.logits']) == {'roi.logits': []}


def test_of_checkpointed_blocks():
    cfg = toy('faster')
    cfg.model.backbone.with_cp = True
    on = ['backbone.layer3', 'neck', 'roi.logits']
    assert said(cfg, on) == {each: [] for each in on}


def aligned(change):
    """A fault in what every pairing returns, by the three lists of it."""

    def plant(monkeypatch):
        for kind in (ModulePairing, RoIPairing, RoIMasksPairing):
            monkeypatch.setattr(kind, 'align', changed(kind.align))

    def changed(align):
        return lambda *args: Aligned(*change(*align(*args)[:3]))

    return plant


def sides(change, *levels):
    """A change of both sides' rows, of some levels or of all."""

    def changed(*lists):
        return [
            [
                change(each) if not levels or level in levels else each
                for level, each in enumerate(side)
            ]
            for side in lists
        ]

    return aligned(lambda own, others, targets: (*changed(own, others), targets))


def half_detached(rows):
    half = len(rows) // 2
    return torch.cat([rows[:half], rows[half:].detach()])


def half(rows):
    return None if rows is None else rows[::2]


def half_of_the_student(own, others, targets):
    mixed = [
        torch.cat([s[: len(s) // 2].detach(), t[len(s) // 2 :]])
        for s, t in zip(own, others)
    ]
    return own, mixed, targets


def class_0(monkeypatch):
    first = roi_masks._of_class
    monkeypatch.setattr(roi_masks, '_of_class', lambda m, at: first(m, at * 0))
    monkeypatch.setattr(RoIPairing, '_of_class', lambda _, deltas, at: deltas[:, :4])


def reversed_rois(monkeypatch):
    rois_of = two_stage.rois_of
    back = lambda *args: [rois.flip(0) for rois in rois_of(*args)]  # noqa: E731
    monkeypatch.setattr(two_stage, 'rois_of', back)


ROIS = ['roi.logits', 'roi.boxes', 'roi.masks']
#: Detector, fault, and by what is compared which words it is seen by; '' for none.
FAULTS = {
    'no fault': ('mask', lambda _: None, dict.fromkeys(['neck', *ROIS], '')),
    'half of the rows are detached': (
        'mask',
        sides(half_detached),
        dict.fromkeys(['neck', *ROIS], 'rows without a gradient'),
    ),
    'a level is detached': (
        'cascade',
        sides(torch.detach, 1),
        {'roi.logits': 'level 1: no gradient'},
    ),
    'targets are reversed': (
        'mask',
        aligned(lambda own, others, at: (own, others, [t.flip(0) for t in at])),
        dict.fromkeys(['roi.logits', 'roi.masks'], 'other labels'),
    ),
    'half of the rows are dropped': (
        'mask',
        aligned(
            lambda *lists: [
                [e if e is None else e[::2] for e in each] for each in lists
            ]
        ),
        dict.fromkeys(ROIS, 'rows are compared, .* trains on'),
    ),
    'rows are reversed': (
        'mask',
        sides(lambda rows: rows.flip(0)),
        dict.fromkeys(ROIS, 'other rows are compared'),
    ),
    'always class 0': (
        'mask',
        class_0,
        dict.fromkeys(['roi.boxes', 'roi.masks'], 'other rows are compared'),
    ),
    'the first level alone': (
        'cascade',
        aligned(lambda *lists: [each[:1] for each in lists]),
        {'neck': '1 of 5 levels', 'roi.logits': '1 of 3 levels'},
    ),
    'the student is its own teacher': (
        'mask',
        aligned(lambda own, _, targets: (own, [e.detach() for e in own], targets)),
        dict.fromkeys(['neck', *ROIS], '100% .* not of its weights'),
    ),
    "half of the answers are the student's": (
        'mask',
        aligned(half_of_the_student),
        dict.fromkeys(['neck', *ROIS], '[45][0-9]% .* not of its weights'),
    ),
    'RoIs are in another order': (
        'mask',
        reversed_rois,
        {'neck': '', 'roi.logits': 'the teacher is off', 'roi.boxes': 'is off'},
    ),
}


class TestItSees:
    """What it is there for: faults that were, and faults that could be."""

    def test_what_is_left_out_beside_the_features(self, monkeypatch):
        monkeypatch.setitem(roi_heads.BESIDE, 'mmdet.SCNetRoIHead', roi_heads.nothing)
        found = said(scnet(), ['neck', 'roi.logits', 'roi.boxes'])
        assert not found['neck']
        assert 'level 0: the teacher is off by' in found['roi.logits'][0]
        assert len(found['roi.boxes']) == 3

    def test_a_head_that_answers_otherwise_in_inference(self, monkeypatch):
        monkeypatch.setattr(Dense, 'early', Family.early)
        assert 'is off by' in said(small(FCOS), ['bbox_head'])['bbox_head'][0]

    @pytest.mark.parametrize('fault', FAULTS)
    def test_what_is_planted(self, monkeypatch, fault):
        kind, change, expected = FAULTS[fault]
        change(monkeypatch)
        found = said(toy(kind), list(expected))
        for each, words in expected.items():
            text = '; '.join(found[each])
            assert re.search(words, text) if words else not text, (each, text)

    def test_a_level_that_the_teacher_lacks(self, monkeypatch):
        aligned(lambda own, others, at: (own, others[:-1], at))(monkeypatch)
        with pytest.raises(MisfitError, match='5 levels of the student and 4'):
            said(toy('faster'), ['neck'])

    def test_cells_without_a_gradient(self, monkeypatch):
        cut = roi_cells._cut
        monkeypatch.setattr(roi_cells, '_cut', lambda maps, m: cut(maps.detach(), m))
        (found,) = said(toy('faster'), ['roi.cells']).values()
        assert found == ['level 0: cells without a gradient']


class TestRefused:
    @pytest.mark.parametrize('role', ['student', 'teacher'])
    def test_queries_of_ones_own(self, role):
        with torch.device('meta'):
            path = 'mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'
            sparse = build_model(load_config(path))
        family = family_of(sparse)
        with pytest.raises(ConfigError, match='SparseRoIHead .*proposals of its own'):
            family.check(sparse, ['roi_head.bbox_head.0'], role)
        with pytest.raises(ConfigError, match='EmbeddingRPNHead .* no forward'):
            family.check(sparse, ['neck', 'rpn_head'], role)
        family.check(sparse, ['neck'], role)

    def test_a_class_that_inherits_until_it_is_said_to_be_alike(self, monkeypatch):
        class Other(stock.StandardRoIHead):
            pass

        monkeypatch.setitem(MODELS._module_dict, 'OtherRoIHead', Other)
        cfg = toy('faster')
        cfg.model.roi_head.type = 'mmkd.OtherRoIHead'
        with pytest.raises(ConfigError, match=r'Other of the student .*BESIDE\['):
            twins(cfg, ['roi.logits'])
        assert said(cfg, ['neck']) == dict(neck=[])
        name = f'{__name__.partition(".")[0]}.Other'
        monkeypatch.setitem(roi_heads.BESIDE, name, roi_heads.nothing)
        assert said(cfg, ['roi.logits']) == {'roi.logits': []}

    @pytest.mark.parametrize('on', ['backbone', 'roi.logits', HEAD])
    def test_branches_that_only_training_has(self, on):
        with pytest.raises(ConfigError, match='6 .*2.* a TridentNet'):
            twins(trident(1), [on])

    @pytest.mark.parametrize('image, fits', [(-1, False), (1, True), (2, False)])
    def test_rois_in_images_outside_of_the_batch(self, image, fits):
        student = MODELS.build(toy_detector())
        (extractor,) = roi_extractors(student)
        taps = Taps(student, [], 'student', [extractor])
        maps = (torch.zeros(2, 1, 4, 4),)
        rois = torch.tensor([[0.0, 0, 0, 8, 8], [image, 0, 0, 8, 8]])
        taps[extractor].calls.append(Call((maps, rois), {}, None, None, True))
        if fits:
            assert rois_of(taps, [extractor], 2)[0] is rois
        else:
            with pytest.raises(ConfigError, match='in a batch of 2'):
                rois_of(taps, [extractor], 2)
        with pytest.raises(ConfigError, match='of 2 images .* maps of 1'):
            rois_of(taps, [extractor], 1)


def test_a_teachers_head_rests_again_after_its_pass():
    distiller = twins(small(FCOS), ['bbox_head'])  # it has answered in the dry run
    teacher = distiller.teachers['teacher'].model
    assert not any(module.training for module in teacher.modules())
