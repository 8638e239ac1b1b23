"""The Distiller to its Runner: a student, plus what the losses add."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import get_state_dict, load_state_dict

from mmkd.models import Distiller
from mmkd.testing import (
    classification_batch,
    detection_batch,
    toy_classifier,
    toy_detector,
)

FEATURES = dict(type='FitNetLoss', on='backbone.layer2')


def build(student, losses, teacher=None, seed=0, **kwargs):
    torch.manual_seed(seed)
    teacher = dict(config=teacher or student, allow_untrained=True)
    model = Distiller(student, losses, teacher=teacher, **kwargs)
    return model.train()


def classifier(losses, **kwargs):
    return build(toy_classifier(), losses, toy_classifier(width=12), **kwargs)


def optimizer(model, **kwargs):
    parameters = [p for p in model.parameters() if p.requires_grad]
    return OptimWrapper(torch.optim.SGD(parameters, lr=0.01, momentum=0.9), **kwargs)


def train(model, batch, steps=1):
    optim_wrapper = optimizer(model)
    return [model.train_step(copy.deepcopy(batch), optim_wrapper) for _ in range(steps)]


def progress(iter=0, max_iters=100):
    hub = MessageHub.get_instance('test_distiller')
    hub.update_info('iter', iter)
    hub.update_info('max_iters', max_iters)


@pytest.fixture(autouse=True)
def at_the_start():
    progress()


@pytest.mark.parametrize(
    'student, batch',
    [
        (toy_classifier(), classification_batch()),
        (toy_detector(), detection_batch()),
    ],
    ids=['classifier', 'detector'],
)
def test_without_losses_it_trains_the_student_bit_for_bit(student, batch):
    def run(model):
        model.init_weights()
        model.train()
        torch.manual_seed(1)
        return train(model, batch, steps=3), get_state_dict(model)

    torch.manual_seed(0)
    logs, weights = run(MODELS.build(student))
    torch.manual_seed(0)
    distiller_logs, distiller_weights = run(Distiller(student, {}))
    assert list(weights) == list(distiller_weights)
    assert all(torch.equal(weights[key], distiller_weights[key]) for key in weights)
    for log, distiller_log in zip(logs, distiller_logs):
        assert list(log) == list(distiller_log)
        assert all(torch.equal(log[key], distiller_log[key]) for key in log)


def test_teacher_and_adapters_do_not_disturb_the_students_start():
    losses = dict(loss_kd=dict(type='KDLoss', on='logits'), loss_feature=dict(FEATURES))
    plain = build(toy_classifier(), {})
    drawn = torch.rand(3)
    taught = classifier(losses)
    assert torch.equal(torch.rand(3), drawn)
    assert all(
        map(torch.equal, plain.student.parameters(), taught.student.parameters())
    )


def test_every_loss_and_weight_is_logged_and_the_total_is_their_sum():
    losses = dict(
        loss_kd=dict(type='KDLoss', on='logits', weight=0.5),
        loss_feature=dict(FEATURES, weight=dict(value=2.0, warmup_iters=4)),
    )
    model = classifier(losses)
    (log,) = train(model, classification_batch())
    assert log['weight_kd'] == 0.5 and log['weight_feature'] == 0.5
    parts = [log[key] for key in ('loss_student', 'loss_kd', 'loss_feature')]
    assert log['loss'].item() == pytest.approx(sum(part.item() for part in parts))


def test_the_weight_scales_loss_and_gradient():
    gradients, values = [], []
    for weight in (1.0, 3.0):
        model = classifier(
            dict(loss_kd=dict(type='KDLoss', on='logits', weight=weight))
        )
        data = model.data_preprocessor(classification_batch(), True)
        loss = model(**data, mode='loss')['loss_kd']
        loss.backward()
        values.append(loss.item())
        gradients.append(model.student.head.fc.weight.grad)
    assert values[1] == pytest.approx(3 * values[0])
    torch.testing.assert_close(gradients[1], 3 * gradients[0])


class TestTeacher:
    losses = dict(loss_kd=dict(type='KDLoss', on='logits'), loss_feature=dict(FEATURES))

    def test_is_outside_of_parameters_checkpoint_and_copies(self):
        model = classifier(self.losses)
        teacher = model.teachers['teacher'].model
        own = {id(parameter) for parameter in model.parameters()}
        assert not any(id(parameter) in own for parameter in teacher.parameters())
        assert not any('teacher' in key for key in model.state_dict())
        assert copy.deepcopy(model).teachers['teacher'].model is teacher

    def test_training_leaves_it_alone(self):
        model = classifier(self.losses)
        teacher = model.teachers['teacher'].model
        before = copy.deepcopy(teacher.state_dict())
        model.init_weights()
        train(model, classification_batch(), steps=3)
        after = teacher.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)
        assert not any(module.training for module in teacher.modules())
        assert not any(parameter.requires_grad for parameter in teacher.parameters())

    def test_moves_and_casts_with_the_distiller(self):
        model = classifier(self.losses)
        torch.nn.Sequential(model).double()  # arrives through a parent
        teacher = model.teachers['teacher']
        assert next(teacher.model.parameters()).dtype == torch.float64

    def test_sees_its_own_input_statistics(self):
        config = toy_classifier()
        config.data_preprocessor.update(mean=[10.0] * 3, std=[2.0] * 3, to_rgb=False)
        model = build(toy_classifier(), self.losses, config)
        teacher = model.teachers['teacher'].model
        seen = []
        teacher.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        batch = classification_batch()
        train(model, batch)
        wanted = teacher.data_preprocessor(copy.deepcopy(batch))['inputs']
        torch.testing.assert_close(seen[0], wanted, rtol=1e-4, atol=1e-3)

    def test_runs_once_for_all_losses_and_only_what_is_needed(self):
        model = build(toy_detector(), dict(loss_neck=dict(FEATURES, on='neck')))
        assert _calls(model, detection_batch()) == dict(
            backbone=1, neck=1, rpn_head=0, roi_head=0, bbox_head=0
        )
        losses = dict(
            loss_kd=dict(type='KDLoss', on='roi.logits'),
            loss_lumi=dict(type='LumiNetLoss', on='roi.logits'),
            loss_neck=dict(FEATURES, on='neck'),
        )
        model = build(toy_detector(), losses)
        assert _calls(model, detection_batch()) == dict(
            backbone=1, neck=1, rpn_head=0, roi_head=0, bbox_head=1
        )

    def test_several_teachers_each_teach_their_own(self):
        wide = dict(config=toy_classifier(width=12), allow_untrained=True)
        same = dict(config=toy_classifier(), allow_untrained=True)
        losses = dict(
            loss_kd=dict(type='KDLoss', on='logits', teacher='wide'),
            loss_feature=dict(FEATURES, teacher='same'),
        )
        torch.manual_seed(0)
        model = Distiller(toy_classifier(), losses, teachers=dict(wide=wide, same=same))
        (log,) = train(model.train(), classification_batch())
        assert log['loss_kd'] > 0 and log['loss_feature'] > 0
        assert model.distill['loss_feature'].shapes == [((2, 16, 16, 16),) * 2]


def _calls(model, batch):
    """How often each part of the teacher runs in a step."""
    teacher = model.teachers['teacher'].model
    parts = dict(teacher.named_children(), bbox_head=teacher.roi_head.bbox_head)
    parts.pop('data_preprocessor')
    counts = dict.fromkeys(parts, 0)

    def count(name):
        def hook(*args):
            counts[name] += 1

        return hook

    for name, module in parts.items():
        module.register_forward_hook(count(name))
    train(model, batch)
    return counts


class TestCheckpoint:
    losses = dict(loss_kd=dict(type='KDLoss', on='logits'), loss_feature=dict(FEATURES))

    def test_holds_the_students_keys_and_extras_apart(self):
        model, stock = classifier(self.losses), MODELS.build(toy_classifier())
        for state in (model.state_dict(), get_state_dict(model)):
            extras = [key for key in state if key.startswith('distill.')]
            assert extras == [
                'distill.loss_feature.adapters.0.weight',
                'distill.loss_feature.adapters.0.bias',
            ]
            assert [key for key in state if key not in extras] == [*stock.state_dict()]
            for key in extras:
                state.pop(key)
            stock.load_state_dict(state)
        assert state._metadata['backbone.bn1'] == dict(version=2)
        assert torch.equal(stock.head.fc.weight, model.student.head.fc.weight)

    @pytest.mark.parametrize('mmengine', [False, True])
    def test_loads_its_own_and_the_stock_students(self, mmengine):
        source, stock = classifier(self.losses, seed=1), MODELS.build(toy_classifier())
        for state in (source.state_dict(), stock.state_dict()):
            model = classifier(self.losses)
            if mmengine:
                load_state_dict(model, state)
            else:
                model.load_state_dict(state, strict='distill' in ''.join(state))
            for key, value in model.state_dict().items():
                if key in state:
                    assert torch.equal(value, state[key]), key

    def test_an_averaged_copy_has_the_same_keys(self):
        model = classifier(self.losses)
        average = ExponentialMovingAverage(model)
        state = {key[7:]: value for key, value in average.state_dict().items()}
        state.pop('')  # "steps"
        assert list(state) == list(model.state_dict())
        average.load_state_dict(average.state_dict())
        average.update_parameters(model)  # the first only copies
        train(model, classification_batch())
        average.update_parameters(model)
        averaged, current = average.module.student.head.fc, model.student.head.fc
        assert not torch.equal(averaged.weight, current.weight)


class TestSchedule:
    def test_after_the_end_the_teacher_rests_and_adapters_stay_in_the_graph(self):
        weight = dict(stop=5, unit='iter')
        model = classifier(dict(loss_feature=dict(FEATURES, weight=weight)))
        teacher = model.teachers['teacher'].model
        calls = []
        teacher.backbone.register_forward_hook(lambda *args: calls.append(1))
        train(model, classification_batch())
        assert len(calls) == 1
        progress(iter=5)
        (log,) = train(model, classification_batch())
        assert len(calls) == 1
        assert log['loss_feature'] == 0 and log['weight_feature'] == 0
        adapter = model.distill['loss_feature'].adapters[0]
        model.zero_grad()
        model(**model.data_preprocessor(classification_batch(), True), mode='loss')[
            'loss_feature'
        ].backward()
        assert adapter.weight.grad is not None and not adapter.weight.grad.any()

    def test_a_passing_zero_multiplies_and_does_not_skip(self):
        weight = dict(value=0, shape='linear', end=10, unit='iter', end_value=1.0)
        model = classifier(dict(loss_feature=dict(FEATURES, weight=weight)))
        data = model.data_preprocessor(classification_batch(), True)
        losses = model(**data, mode='loss')
        losses['loss_feature'].backward()
        assert losses['weight_feature'] == 0
        gradient = model.student.backbone.conv1.weight.grad
        assert gradient is not None and not gradient.any()
        progress(iter=5)
        (log,) = train(model, classification_batch())
        assert log['loss_feature'] > 0 and log['weight_feature'] == 0.5


class TestAsAModel:
    def test_hooks_reach_the_students_parts(self):
        model = build(
            toy_detector(), dict(loss_kd=dict(type='KDLoss', on='roi.logits'))
        )
        assert model.backbone is model.student.backbone
        assert model.roi_head.bbox_head is model.student.roi_head.bbox_head
        assert model.with_neck
        with pytest.raises(AttributeError, match='no_such_part'):
            model.no_such_part  # noqa: B018

    def test_predicts_as_the_student(self):
        model = classifier(dict(loss_kd=dict(type='KDLoss', on='logits'))).eval()
        actual = model.val_step(classification_batch())
        expected = model.student.val_step(classification_batch())
        assert torch.equal(actual[0].pred_score, expected[0].pred_score)

    def test_half_precision(self):
        losses = dict(
            loss_lumi=dict(type='LumiNetLoss', on='logits'), loss_feature=dict(FEATURES)
        )
        model = classifier(losses)
        data = model.data_preprocessor(classification_batch(), True)
        with torch.autocast('cpu', torch.bfloat16):
            values = model(**data, mode='loss')
        assert values['loss_lumi'].dtype == torch.float32
        sum(value for key, value in values.items() if 'loss' in key).backward()
        assert model.student.backbone.conv1.weight.grad.isfinite().all()

    def test_gradient_accumulation_equals_one_large_batch(self):
        """Of a loss that averages over samples, with batch norm held still."""

        def step(batches, **kwargs):
            model = classifier(dict(loss_kd=dict(type='KDLoss', on='logits'))).eval()
            optim_wrapper = optimizer(model, **kwargs)
            optim_wrapper.initialize_count_status(model, 0, len(batches))
            for batch in batches:
                model.train_step(batch, optim_wrapper)
            return model.student.head.fc.weight

        whole = classification_batch(n=8)
        halves = [
            {key: value[half] for key, value in whole.items()}
            for half in (slice(0, 4), slice(4, 8))
        ]
        torch.testing.assert_close(
            step(copy.deepcopy(halves), accumulative_counts=2), step([whole])
        )
