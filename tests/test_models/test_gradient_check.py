"""A loss from which the student cannot learn is an error in its first step."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch.utils.checkpoint import checkpoint

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.gradient_check import GradientCheck
from mmkd.models.taps import Taps
from mmkd.testing import (
    classification_batch,
    detection_batch,
    toy_classifier,
    toy_detector,
)

UNTRAINED = dict(allow_untrained=True)
FEATURES = dict(type='FitNetLoss', on='backbone.layer2')


def classifier(**backbone):
    model = toy_classifier()
    model.backbone.update(backbone)
    return model


def build(student, teacher=None, **losses):
    torch.manual_seed(0)
    source = dict(config=teacher or toy_classifier(width=12), **UNTRAINED)
    return Distiller(student, losses, teacher=source, probe_size=32).train()


def step(model, batch=None):
    data = model.data_preprocessor(copy.deepcopy(batch or classification_batch()), True)
    return model(**data, mode='loss')


def again(module):
    """Compute a module's inside again in the backward pass, as ``with_cp`` does."""
    inner = module.forward
    module.forward = lambda inputs: checkpoint(inner, inputs, use_reentrant=True)


class TestFrozen:
    def test_stages_whose_adapter_alone_would_learn(self):
        model = build(classifier(frozen_stages=2), loss_a=FEATURES)
        assert list(model.distill.parameters())
        with pytest.raises(
            ConfigError, match=r'loss_a .*backbone.layer2 and all in front .*frozen_st'
        ):
            step(model)

    def test_later_modules_pass(self):
        later = dict(FEATURES, on='backbone.layer3')
        step(build(classifier(frozen_stages=2), loss_a=later))['loss_a'].backward()

    def test_a_student_of_which_nothing_is_trained(self):
        model = build(toy_classifier(), loss_a=FEATURES)
        model.student.requires_grad_(False)
        with pytest.raises(ConfigError, match='no parameter of it is trained'):
            step(model)

    @pytest.mark.parametrize('stages', [1, 3])
    def test_of_several_levels_the_frozen_ones_are_named(self, stages, monkeypatch):
        said = []
        name = 'mmkd.models.gradient_check.print_log'
        monkeypatch.setattr(name, lambda text, **_: said.append(text))
        on = [f'backbone.layer{stage}' for stage in (1, 2, 3, 4)]
        model = build(classifier(frozen_stages=stages), loss_a=dict(FEATURES, on=on))
        for _ in range(2):
            step(model)
        (text,) = said
        assert [path for path in on if f'({path})' in text] == on[:stages]

    def test_none_is_named_where_all_learn(self, monkeypatch):
        name = 'mmkd.models.gradient_check.print_log'
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail('named'))
        step(build(toy_classifier(), loss_a=FEATURES))


class TestWithoutGradients:
    def test_a_module_inside_of_what_is_computed_again(self):
        inside = dict(FEATURES, on='backbone.layer2.0.conv1')
        model = build(toy_classifier(), loss_a=inside)
        again(model.student.backbone.layer2)
        with pytest.raises(
            ConfigError, match=r'layer2.0.conv1 ran under torch.no_grad.*with_cp'
        ):
            step(model)

    def test_the_module_around_it_passes(self):
        model = build(toy_classifier(), loss_a=FEATURES)
        again(model.student.backbone.layer2)
        step(model)['loss_a'].backward()
        assert model.student.backbone.layer2[0].conv1.weight.grad.any()

    def test_a_head_that_is_asked_for_something_else_first(self):
        model = build(toy_detector(), toy_detector(), loss_a=dict(
            type='KDLoss', on='roi.logits'))  # fmt: skip
        roi_head = model.student.roi_head
        roi_head._bbox_forward = torch.no_grad()(roi_head._bbox_forward)
        with pytest.raises(ConfigError, match='bbox_head ran under torch.no_grad'):
            step(model, detection_batch())

    def test_an_input_that_is_detached(self):
        model = build(toy_classifier(), loss_a=FEATURES)
        layer = model.student.backbone.layer2.requires_grad_(False)
        inner = layer.forward
        layer.forward = lambda inputs: inner(inputs.detach())
        with pytest.raises(ConfigError, match='reaches what backbone.layer2 .*detach'):
            step(model)


class TestWhen:
    frozen = classifier(frozen_stages=2)

    def test_outside_of_training_nothing_is_wrong(self):
        model = build(self.frozen, loss_a=FEATURES)
        with torch.no_grad():
            step(model)
        step(model.eval())
        with pytest.raises(ConfigError):
            step(model.train())

    def test_a_term_that_is_over_is_not_asked(self):
        over = dict(FEATURES, weight=0.0)
        step(build(self.frozen, loss_a=over))

    def test_a_term_that_begins_later_is_asked_then(self):
        hub = MessageHub.get_instance('test_gradient_check')
        later = dict(FEATURES, weight=dict(stop=5, unit='iter'))
        model = build(self.frozen, loss_a=later, loss_b=dict(FEATURES, on='neck'))
        hub.update_info('iter', 7)
        step(model)
        hub.update_info('iter', 2)
        with pytest.raises(ConfigError, match='loss_a'):
            step(model)

    def test_before_anything_is_trained(self):
        model = build(self.frozen, loss_a=FEATURES)
        before = copy.deepcopy(model.state_dict())
        optimizer = torch.optim.SGD([*model.distill.parameters()], lr=1.0)
        with pytest.raises(ConfigError):
            model.train_step(classification_batch(), OptimWrapper(optimizer))
        after = model.distill.state_dict()
        assert all(torch.equal(before[f'distill.{k}'], v) for k, v in after.items())

    @pytest.mark.parametrize('select', ['all', 'fg'])
    def test_a_batch_without_objects_is_no_fault(self, select):
        on = dict(pairing='roi.logits', select=select)
        kd = dict(type='KDLoss', on=on)
        model = build(toy_detector(), toy_detector(), loss_a=kd)
        step(model, detection_batch(objects=(0, 0)))['loss_a'].backward()

    def test_a_stage_that_did_not_run_is_asked_when_it_does(self):
        cascade = toy_detector('cascade')
        on = dict(pairing='roi.logits', stages=[2])
        kd = dict(type='KDLoss', on=on)
        model = build(cascade, cascade, loss_a=kd)
        bbox_head = model.student.roi_head.bbox_head
        bbox_head.requires_grad_(False)
        model.student.backbone.requires_grad_(False)
        model.student.neck.requires_grad_(False)
        pairing = model.terms[0].pairing
        rows = pairing._outputs
        pairing._outputs = lambda taps, role: [
            torch.zeros(0, 6) for _ in rows(taps, role)
        ]
        pairing._labels = lambda *_: [torch.zeros(0, dtype=torch.long)]
        step(model, detection_batch())
        del pairing._outputs, pairing._labels
        with pytest.raises(ConfigError, match='bbox_head.2'):
            step(model, detection_batch())


@pytest.mark.parametrize('frozen', [False, True])
def test_in_a_compiled_step_too(frozen):
    model = build(toy_classifier(), loss_a=dict(FEATURES, on='neck'))
    network = torch.nn.Sequential()
    network.neck = torch.nn.Linear(4, 4).requires_grad_(not frozen)
    network.other = torch.nn.Linear(4, 4)
    check = GradientCheck()

    @torch.compile(backend='eager')
    def compared(inputs):
        with Taps(network, ['neck'], 'student') as taps:
            network(inputs)
            outputs = taps['neck'].outputs()
            check.see(model.terms[0], taps, outputs)
        return outputs[0].sum()

    if frozen:
        with pytest.raises(ConfigError, match='frozen_stages'):
            compared(torch.ones(2, 4))
    else:
        assert all(compared(torch.ones(2, 4)).requires_grad for _ in range(2))
