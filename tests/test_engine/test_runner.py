"""A Distiller in MMEngine's Runner: EMA, resuming, evaluating the teacher."""

import copy
import itertools
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch.utils.checkpoint import checkpoint
from torch.utils.data import Dataset

from mmkd.engine.hooks import TeacherEvalHook, teacher_eval_hook
from mmkd.engine.hooks.gradient_ratio_hook import add_gradient_ratios
from mmkd.errors import CheckpointError, ConfigError, MMKDError
from mmkd.testing import toy_classifier

CLASSES = tuple('abcdefghij')


class Noise(Dataset):
    """Sixteen noise images with labels."""

    metainfo = dict(classes=CLASSES)

    def __len__(self):
        return 16

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (3, 32, 32), generator=generator).byte()
        return dict(inputs=image, data_samples=DataSample().set_gt_label(index % 10))


class Constant(BaseMetric):
    """The share of images whose most likely class is the first."""

    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results += [int(sample['pred_label']) == 0 for sample in data_samples]

    def compute_metrics(self, results):
        return dict(first=100.0 * sum(results) / len(results))


class Record(Hook):
    """Keeps what is logged in each iteration."""

    def __init__(self):
        self.rows = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        row = {key: value.item() for key, value in outputs.items()}
        lr = runner.optim_wrapper.get_lr()['lr'][0]
        self.rows.append(dict(row, iter=runner.iter, lr=lr))


class Draw(Hook):
    """Draws a random number in each iteration, as a RoI sampler does."""

    def __init__(self):
        self.numbers = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.numbers.append(torch.rand(1).item())


def distiller(weight=1.0):
    losses = dict(
        loss_lumi=dict(
            type='LumiNetLoss', on='logits', tau=4.0, alpha=3.0, weight=weight
        ),
        loss_feature=dict(type='FitNetLoss', on='backbone.layer2'),
    )
    teacher = dict(config=toy_classifier(width=12), allow_untrained=True)
    return dict(
        type='mmkd.Distiller', student=toy_classifier(), teacher=teacher, losses=losses
    )


def runner(work_dir, model=None, epochs=2, hooks=(), name=None, **kwargs):
    loader = dict(dataset=Noise(), batch_size=4, num_workers=0)
    train = dict(loader, sampler=dict(type='DefaultSampler', shuffle=True))
    val = dict(loader, sampler=dict(type='DefaultSampler', shuffle=False))
    checkpoint = dict(type='CheckpointHook', interval=1)
    settings = dict(
        model=copy.deepcopy(model or distiller()),
        work_dir=str(work_dir),
        train_dataloader=train,
        val_dataloader=val,
        val_evaluator=dict(type=Constant),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        param_scheduler=dict(type='MultiStepLR', milestones=[2], gamma=0.1, end=9),
        default_hooks=dict(checkpoint=checkpoint),
        custom_hooks=list(hooks),
        randomness=dict(seed=0),
        default_scope='mmpretrain',
        experiment_name=name or work_dir.name,
    )
    return Runner(**{**settings, **kwargs})


def same(state, other):
    return list(state) == list(other) and all(
        torch.equal(state[k], other[k]) for k in state
    )


class TestResume:
    @pytest.mark.parametrize('ema', [False, True])
    def test_a_resumed_run_equals_the_uninterrupted_one(self, tmp_path, ema):
        averaging = [dict(type='EMAHook', momentum=0.1)] if ema else []
        weight = dict(value=2.0, warmup_epochs=3)

        def run(folder, epochs, **kwargs):
            record = Record()
            hooks = [record, *averaging]
            trained = runner(
                tmp_path / folder,
                distiller(weight),
                epochs,
                hooks,
                name=f'{folder}{epochs}{ema}',
                **kwargs,
            )
            trained.train()
            return record.rows, torch.load(
                tmp_path / folder / f'epoch_{epochs}.pth', weights_only=False
            )

        rows, whole = run('whole', 4)
        run('parts', 2)
        later, resumed = run('parts', 4, resume=True)
        assert [row['iter'] for row in later] == list(range(8, 16))
        assert [row['lr'] for row in later] == [row['lr'] for row in rows[8:]]
        assert [row['weight_lumi'] for row in later] == [2.0] * 8
        assert [row['weight_lumi'] for row in rows[:8:4]] == pytest.approx(
            [2 / 3, 4 / 3]
        )
        assert [set(row) for row in later] == [set(row) for row in rows[8:]]
        assert same(whole['state_dict'], resumed['state_dict'])
        assert any(key.startswith('distill.') for key in resumed['state_dict'])

    def test_the_averaged_weights_are_what_a_stock_model_loads(self, tmp_path):
        trained = runner(tmp_path, hooks=[dict(type='EMAHook', momentum=0.5)])
        trained.train()
        checkpoint = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
        stock = MODELS.build(toy_classifier())
        weights = {
            key: value
            for key, value in checkpoint['state_dict'].items()
            if not key.startswith('distill.')
        }
        stock.load_state_dict(weights)
        current = trained.model.student.head.fc.weight
        assert not torch.equal(stock.head.fc.weight, current)
        assert torch.equal(
            checkpoint['ema_state_dict']['module.head.fc.weight'], current.detach()
        )


class TestTeacherEval:
    def test_evaluates_once_and_prints_it_beside_the_student(self, tmp_path, calls):
        hook = dict(type='mmkd.TeacherEvalHook', floor={'toy/first': 0.0})
        settings = dict(cfg=self.config(), hooks=[hook])
        runner(tmp_path, name='eval2', **settings).train()
        runner(tmp_path, epochs=3, name='eval3', resume=True, **settings).train()
        assert len(calls) == 1
        logs = ''.join(path.read_text() for path in sorted(tmp_path.glob('*/*.log')))
        shown = re.search(r'teacher: toy/first ([\d.]+)', logs).group(1)
        assert logs.count('student / teacher: toy/first ') == 3
        assert f' / {shown}\n' in logs

    @staticmethod
    def config():
        """What a Runner's config says, a few words for each part."""
        network = dict(type='Toy', data_preprocessor=dict(to_rgb=True, mean=[0, 0, 0]))
        model = dict(type='mmkd.Distiller', teacher=dict(config=network))
        return Config(
            dict(model=model, val_dataloader=dict(dataset=dict(type='Noise')))
        )

    @pytest.fixture
    def calls(self, monkeypatch):
        """A list that grows with each evaluation."""
        calls, evaluate = [], TeacherEvalHook._evaluate
        count = staticmethod(lambda *args: calls.append(1) or evaluate(*args))
        monkeypatch.setattr(TeacherEvalHook, '_evaluate', count)
        return calls

    @pytest.fixture
    def resume(self, tmp_path, calls):
        """Start a training that knows what a first one saved, with some changes."""
        path = tmp_path / 'teacher.pth'
        torch.save(MODELS.build(toy_classifier(width=12)).state_dict(), path)

        def start(known, floor=None, options=None, **settings):
            cfg = self.config()
            cfg.merge_from_dict({'model.teacher.checkpoint': str(path)})
            cfg.merge_from_dict(options or {})
            model = distiller()
            model['teacher']['checkpoint'] = cfg.model.teacher.checkpoint
            settings = dict(dict(cfg=cfg), **settings)
            built = runner(tmp_path, model, name=next(names), **settings)
            if known is not None:
                built.message_hub.load_state_dict(known)
            TeacherEvalHook(floor).before_train(built)
            return built.message_hub.state_dict()

        names = map(f'{tmp_path.name}{{}}'.format, itertools.count())
        known = start(None)
        calls.clear()

        def resumed(known=known, **changes):
            return start(known, **changes)

        resumed.known, resumed.path = known, path
        return resumed

    NO_VAL = dict.fromkeys(('val_dataloader', 'val_cfg', 'val_evaluator'))

    @pytest.mark.parametrize('settings', [{}, NO_VAL], ids=['val set', 'none'])
    def test_a_known_teacher_is_not_evaluated_again(self, resume, calls, settings):
        known = resume(floor={'toy/first': 0.0}, **settings)
        assert known == resume.known and not calls

    def test_a_teacher_is_known_by_its_weights_not_by_its_file(self, resume, calls):
        other = resume.path.with_name('other.pth')
        other.write_bytes(resume.path.read_bytes())
        resume(options={'model.teacher.checkpoint': str(other)})
        assert not calls
        weights = MODELS.build(toy_classifier(width=12)).state_dict()
        weights['head.fc.weight'] = torch.zeros_like(weights['head.fc.weight'])
        weights['head.fc.bias'] = torch.arange(10, 0, -1.0)
        torch.save(weights, resume.path)
        known = resume(floor={'toy/first': 100.0})['runtime_info']
        assert known['figures_of_teacher']['figures'] == {'toy/first': 100.0}
        assert len(calls) == 1

    @pytest.mark.parametrize(
        'options, times',
        [
            ({'model.teacher.config.data_preprocessor.to_rgb': False}, 1),
            ({'model.teacher.config.data_preprocessor.mean': [1, 1, 1]}, 1),
            ({'model.teacher.config.test_cfg.score_thr': 0.5}, 1),
            ({'model.losses.loss_kd.weight': 9.0}, 0),
            ({'val_dataloader.batch_size': 8}, 0),
            ({'val_dataloader.dataset.indices': 8}, 1),
            ({'val_evaluator.type': 'another'}, 1),
            ({'model.teacher.inference.fold_bn': True}, 1),
        ],
    )
    def test_what_a_config_changes(self, resume, calls, options, times):
        resume(options=options)
        assert len(calls) == times

    def test_a_config_file_that_changes(self, resume, calls, tmp_path):
        file = tmp_path / 'teacher.py'
        file.write_text("model = dict(type='A')\nwork_dir = 'a'")
        options = {'model.teacher.config': str(file)}
        known = resume(options=options)
        file.write_text("model = dict(type='A')\nwork_dir = 'b'")
        assert resume(known, options=options) == known and len(calls) == 1
        file.write_text("model = dict(type='B')")
        assert resume(known, options=options) != known and len(calls) == 2

    def test_a_runner_without_a_config_evaluates_again(self, resume, calls):
        resume(cfg=None)
        assert len(calls) == 1

    def test_figures_that_do_not_say_what_they_are_of(self, resume, calls):
        known = copy.deepcopy(resume.known)
        known['runtime_info']['figures_of_teacher'] = {'toy/first': 99.0}
        assert resume(known) == resume.known and len(calls) == 1

    def test_what_another_process_does_not_know(self, resume, calls, monkeypatch):
        def of_all(value, op):
            assert op == 'max'
            value.fill_(1)

        monkeypatch.setattr(teacher_eval_hook, 'all_reduce', of_all)
        resume()
        assert len(calls) == 1

    def test_a_floor_that_is_new(self, resume, calls):
        with pytest.raises(CheckpointError, match='below the floor of 101'):
            resume(floor={'toy/first': 101.0})
        assert not calls
        with pytest.raises(ConfigError, match="names 'toy/last'"):
            resume(floor={'toy/last': 0.0})

    def test_training_goes_as_without_it(self, tmp_path):
        rows = []
        for name, hooks in (
            ('with', [dict(type='mmkd.TeacherEvalHook')]),
            ('none', []),
        ):
            record, drawn = Record(), Draw()
            runner(tmp_path / name, epochs=1, hooks=[*hooks, record, drawn]).train()
            rows.append((record.rows, drawn.numbers))
        assert rows[0] == rows[1]

    def test_the_figure_is_the_teachers_own(self, tmp_path):
        built = runner(tmp_path, name='own')
        teacher = built.model.teachers['teacher']
        teacher.model.head.fc.weight.data.zero_()
        teacher.model.head.fc.bias.data.copy_(torch.arange(10, 0, -1.0))
        built.val_loop  # noqa: B018  built on first use
        assert TeacherEvalHook._evaluate(built, teacher) == {'toy/first': 100.0}

    @pytest.mark.parametrize(
        'floor, error, sentence',
        [
            ({'toy/first': 101.0}, CheckpointError, 'below the floor of 101'),
            ({'toy/last': 0.0}, ConfigError, "names 'toy/last', but .*toy/first"),
        ],
    )
    def test_a_bad_teacher_or_metric_stops_before_training(
        self, tmp_path, floor, error, sentence
    ):
        record = Record()
        hook = dict(type='mmkd.TeacherEvalHook', floor=floor)
        with pytest.raises(error, match=sentence):
            runner(tmp_path, hooks=[hook, record]).train()
        assert not record.rows

    @pytest.fixture(params=['names', 'number'])
    def foreign(self, request, tmp_path):
        """A model with a teacher of other classes, of which features are compared."""
        classes = 12 if request.param == 'number' else 10
        network = toy_classifier(classes, width=12)
        meta = dict(dataset_meta=dict(classes=tuple('klmnopqrst')))
        meta = meta if request.param == 'names' else {}
        path = tmp_path / 'foreign.pth'
        torch.save(dict(state_dict=MODELS.build(network).state_dict(), meta=meta), path)
        model = distiller()
        model['losses'].pop('loss_lumi')
        model['teacher'] = dict(config=network, checkpoint=str(path))
        return model

    def test_one_of_other_classes_teaches_features_unevaluated(
        self, foreign, tmp_path, calls
    ):
        record, hook = Record(), dict(type='mmkd.TeacherEvalHook')
        runner(tmp_path, foreign, epochs=1, hooks=[record, hook]).train()
        assert len(record.rows) == 4 and not calls
        (log,) = tmp_path.glob('*/*.log')
        assert 'the teacher cannot be evaluated on the val set: ' in log.read_text()

    def test_a_floor_that_one_of_other_classes_cannot_be_held_against(
        self, foreign, tmp_path
    ):
        hook = dict(type='mmkd.TeacherEvalHook', floor={'toy/first': 0.0})
        with pytest.raises(ConfigError, match='cannot be evaluated .* floor, or'):
            runner(tmp_path, foreign, hooks=[hook]).train()


def test_class_names_are_compared_before_the_first_step(tmp_path):
    weights = MODELS.build(toy_classifier(width=12)).state_dict()
    meta = dict(dataset_meta=dict(classes=('b', 'a', *CLASSES[2:])))
    path = tmp_path / 'teacher.pth'
    torch.save(dict(state_dict=weights, meta=meta), path)
    model = distiller()
    model['teacher']['checkpoint'] = str(path)
    record = Record()
    with pytest.raises(MMKDError, match="class 0 is 'b' to it and 'a'"):
        runner(tmp_path / 'run', model, hooks=[record]).train()
    assert not record.rows


def test_hooks_of_stock_configs_reach_the_student(tmp_path):
    seen = []

    class Reach(Hook):
        def before_train_epoch(self, runner):
            seen.append(runner.model.backbone is runner.model.student.backbone)

    runner(tmp_path, epochs=1, hooks=[Reach()]).train()
    assert seen == [True]


def test_gradient_ratios_are_logged_at_intervals(tmp_path):
    record, ratio = Record(), dict(type='mmkd.GradientRatioHook', interval=3)
    hooks = [record, ratio]
    trained = runner(tmp_path / 'ratio', epochs=1, hooks=hooks)
    trained.train()
    shown = [row.get('gradient_lumi') for row in record.rows]
    assert [value is not None for value in shown] == [True, False, False, True]
    assert not trained.model._forward_hooks
    plain = Record()
    runner(tmp_path / 'plain', epochs=1, hooks=[plain]).train()
    assert [row['loss'] for row in plain.rows] == [row['loss'] for row in record.rows]


def losses_of(model):
    data = [Noise()[index] for index in range(4)]
    batch = {key: [item[key] for item in data] for key in data[0]}
    return model(**model.data_preprocessor(batch, True), mode='loss')


def ratios_of(model, losses, **kwargs):
    add_gradient_ratios(model, (), losses, **kwargs)
    return {k: v.item() for k, v in losses.items() if k.startswith('gradient')}


def test_a_gradient_ratio_is_the_quotient_of_the_lengths():
    torch.manual_seed(0)
    model = MODELS.build(distiller(weight=2.0)).train()
    losses = losses_of(model)
    add_gradient_ratios(model, (), losses)

    def length(loss):
        model.zero_grad()
        loss.backward(retain_graph=True)
        gradients = [p.grad.flatten() for p in model.student.parameters()]
        return torch.cat([g for g in gradients if g is not None]).norm()

    wanted = length(losses['loss_lumi']) / length(losses['loss_student'])
    torch.testing.assert_close(losses['gradient_lumi'], wanted, rtol=1e-4, atol=0)


@pytest.mark.parametrize('weight', [0.0, dict(value=1.0, stop=1, unit='iter')])
def test_a_loss_that_is_over_has_no_gradient_and_ends_nothing(tmp_path, weight):
    record, ratio = Record(), dict(type='mmkd.GradientRatioHook', interval=1)
    runner(tmp_path, distiller(weight), epochs=1, hooks=[record, ratio]).train()
    assert [row['gradient_lumi'] > 0 for row in record.rows] == [
        weight != 0.0 and index == 0 for index in range(4)
    ]
    assert all(row['gradient_feature'] > 0 for row in record.rows)


class TestGradientRatiosOf:
    """What losses and models may be like; two losses, and the student's own."""

    NAMES = {'gradient_lumi', 'gradient_feature'}

    def test_a_constant(self):
        model = MODELS.build(distiller()).train()
        losses = losses_of(model)
        losses['loss_lumi'] = torch.tensor(3.0)
        assert ratios_of(model, losses)['gradient_lumi'] == 0

    def test_what_the_student_has_no_part_in(self):
        model = MODELS.build(distiller()).train()
        losses = losses_of(model)
        losses['loss_lumi'] = sum(p.sum() for p in model.distill.parameters())
        assert ratios_of(model, losses)['gradient_lumi'] == 0

    def test_lists_count_as_in_training(self):
        model = MODELS.build(distiller()).train()
        losses = losses_of(model)
        wanted = ratios_of(model, dict(losses))
        for name in ('loss_lumi', 'loss_student'):
            # Also of more than one element: their mean is what is minimised.
            losses[name] = [losses[name] / 2, losses[name].expand(2, 3) / 2]
        assert ratios_of(model, losses) == pytest.approx(wanted, rel=1e-5)

    def test_a_loss_that_is_not_there(self):
        model = MODELS.build(distiller()).train()
        losses = losses_of(model)
        del losses['loss_lumi']
        assert set(ratios_of(model, losses)) == self.NAMES - {'gradient_lumi'}

    @pytest.mark.parametrize('own', [None, torch.tensor(1.0), []])
    def test_nothing_to_compare_with(self, own):
        model = MODELS.build(distiller()).train()
        losses = losses_of(model)
        del losses['loss_student']
        if own is not None:
            losses['loss_student'] = own
        assert ratios_of(model, losses) == {}

    def test_a_frozen_student(self):
        model = MODELS.build(distiller()).train()
        losses = losses_of(model)
        model.student.requires_grad_(False)
        assert ratios_of(model, losses) == {}

    def test_models_without_distillation_and_other_outputs(self):
        stock = MODELS.build(toy_classifier()).train()
        plain = MODELS.build(dict(distiller(), losses={})).train()
        for model in (stock, plain):
            losses = losses_of(model)
            assert ratios_of(model, losses) == {} and set(losses) == {'loss'}
        model = MODELS.build(distiller()).eval()
        add_gradient_ratios(model, (), torch.ones(1))  # of mode='tensor'

    def test_gradients_that_float16_rounds_to_zero(self):
        class Half(torch.nn.Linear):
            def forward(self, inputs):
                return super().forward(inputs).sum()

        model = MODELS.build(dict(distiller(), losses={}))
        model.student = Half(2, 2, dtype=torch.float16)
        model.distill = torch.nn.ModuleDict(dict(loss_a=torch.nn.Identity()))
        model.distill['loss_a'].name = 'loss_a'
        out = model.student(torch.ones(1, 2, dtype=torch.float16)).float()
        losses = dict(loss_student=1e-8 * out, loss_a=3e-8 * out)
        assert ratios_of(model, dict(losses)) == {}
        scaled = ratios_of(model, losses, scale=2.0**16)
        assert scaled == dict(gradient_a=pytest.approx(3, rel=1e-2))

    def test_activations_that_are_computed_again(self):
        model = MODELS.build(distiller()).train()
        losses = losses_of(model)
        weight = model.student.head.fc.weight
        losses['loss_lumi'] = checkpoint(torch.sum, weight, use_reentrant=True)
        with pytest.raises(ConfigError, match='with_cp'):
            ratios_of(model, losses)
