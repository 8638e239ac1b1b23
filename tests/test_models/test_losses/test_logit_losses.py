"""LumiNet, KD and DKD against their authors' figures, and what must hold of them."""

import numpy as np
import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses import DKDLoss, KDLoss, LumiNetLoss
from mmkd.models.losses.dkd_loss import dkd_rows
from mmkd.models.losses.kd_loss import kd_loss
from mmkd.models.losses.luminet_loss import luminet_rows, perception

ALL = [KDLoss(), DKDLoss(), LumiNetLoss()]


def draw(seed=0, batch=8, classes=5, student_scale=1.0, teacher_scale=2.0, **_):
    random = np.random.RandomState(seed)
    student = torch.tensor(random.randn(batch, classes) * student_scale)
    teacher = torch.tensor(random.randn(batch, classes) * teacher_scale)
    labels = torch.tensor(random.randint(0, classes, size=batch))
    return student.requires_grad_(), teacher, labels


def call(loss, student, teacher, labels):
    return loss([student], [teacher], [labels])


@pytest.mark.golden('kd')
def test_kd_equals_the_authors_figures(golden):
    loss = KDLoss(**golden.params)
    golden.check(call(loss, golden.student, golden.teacher, golden.labels))


@pytest.mark.golden('dkd')
def test_dkd_equals_the_authors_figures(golden):
    loss = DKDLoss(**golden.params)
    golden.check(call(loss, golden.student, golden.teacher, golden.labels))


@pytest.mark.golden('luminet')
def test_luminet_equals_the_authors_figures(golden):
    loss = LumiNetLoss(**golden.params)
    golden.check(call(loss, golden.student, golden.teacher, golden.labels))


@pytest.mark.parametrize('loss', ALL, ids=lambda loss: type(loss).__name__)
class TestEveryLogitLoss:
    def test_zero_where_student_equals_teacher(self, loss):
        _, teacher, labels = draw()
        student = teacher.clone().requires_grad_()
        value = call(loss, student, teacher, labels)
        value.backward()
        assert value.item() == pytest.approx(0, abs=1e-9)
        assert student.grad.abs().max() < 1e-7

    def test_levels_are_averaged(self, loss):
        first, second = draw(seed=0), draw(seed=1)
        both = loss(*([a, b] for a, b in zip(first, second)))
        mean = (call(loss, *first) + call(loss, *second)) / 2
        assert both.item() == pytest.approx(mean.item(), rel=1e-12)


class TestLumiNet:
    def test_a_batch_of_one_gives_nothing_and_says_so(self, caplog, monkeypatch):
        logged = []
        monkeypatch.setattr(
            'mmkd.models.losses.luminet_loss.print_log',
            lambda message, **kwargs: logged.append(message),
        )
        student, teacher, labels = draw(batch=1)
        loss = LumiNetLoss()
        for _ in range(2):
            value = call(loss, student, teacher, labels)
        value.backward()
        assert value.item() == 0 and student.grad.abs().sum() == 0
        assert len(logged) == 1 and 'batch of one' in logged[0]

    def test_unchanged_by_scale_and_shift_of_a_class_column(self):
        student, teacher, _ = draw(batch=64, student_scale=3.0)
        scale, shift = (
            torch.tensor([1.0, 5, 0.7, 2, 9]),
            torch.tensor([0.0, 3, -8, 1, 2]),
        )
        once = luminet_rows(student, teacher, 4.0, 3.0, eps=1e-12).mean()
        moved = luminet_rows(
            student * scale + shift, teacher, 4.0, 3.0, eps=1e-12
        ).mean()
        assert moved.item() == pytest.approx(once.item(), rel=1e-6)
        moved = luminet_rows(
            student, teacher * scale + shift, 4.0, 3.0, eps=1e-12
        ).mean()
        assert moved.item() == pytest.approx(once.item(), rel=1e-6)

    def test_statistics_run_over_samples_not_over_classes(self):
        """A shift of one sample's logits changes nothing in logit standardisation."""
        student, teacher, _ = draw(batch=16)
        shift = torch.arange(16.0)[:, None]
        once = luminet_rows(student, teacher, 4.0, 3.0).mean()
        assert (
            abs(luminet_rows(student + shift, teacher, 4.0, 3.0).mean() - once) > 1e-2
        )

    def test_gradient_of_each_column_sums_to_zero(self):
        student, teacher, _ = draw(batch=16)
        luminet_rows(student, teacher, 4.0, 33.0).mean().backward()
        assert student.grad.abs().max() > 1e-2
        assert student.grad.sum(dim=0).abs().max() < 1e-9

    def test_perceptions_are_bounded(self):
        logits = torch.zeros(10, 3, dtype=torch.float64)
        logits[0] = 1e4
        assert perception(logits).abs().max() <= 9**0.5
        assert perception(logits).abs().max() == pytest.approx(3, rel=1e-6)

    def test_alpha_is_squared_and_temperature_is_not_a_factor(self):
        student, teacher, _ = draw()
        once = luminet_rows(student, teacher, 4.0, 1.0).mean()
        assert luminet_rows(student, teacher, 4.0, 3.0).mean().item() == pytest.approx(
            9 * once.item()
        )
        logs = [torch.log_softmax(perception(z) / 4.0, 1) for z in (student, teacher)]
        divergence = (logs[1].exp() * (logs[1] - logs[0])).sum(1).mean()
        assert once.item() == pytest.approx(divergence.item(), rel=1e-9)


class TestDKD:
    def test_is_kd_with_the_published_weights(self):
        """alpha = 1 and beta = 1 - p_T,y give KD, sample by sample."""
        student, teacher, labels = draw()
        for row in range(8):
            rows = slice(row, row + 1)
            confidence = torch.softmax(teacher[rows] / 4.0, 1)[0, labels[row]].item()
            split = dkd_rows(
                student[rows], teacher[rows], labels[rows], 1.0, 1 - confidence, 4.0
            ).mean()
            whole = kd_loss(student[rows], teacher[rows], 4.0)
            assert split.item() == pytest.approx(whole.item(), rel=1e-9)

    def test_the_non_target_part_ignores_the_target_logit(self):
        student, teacher, labels = draw()
        dkd_rows(student, teacher, labels, 0.0, 8.0, 4.0).mean().backward()
        assert student.grad.gather(1, labels[:, None]).abs().max() == 0
        assert student.grad.abs().max() > 1e-2


@pytest.mark.parametrize(
    'build',
    [
        lambda: KDLoss(tau=0),
        lambda: DKDLoss(tau=-1.0),
        lambda: LumiNetLoss(alpha='3'),
    ],
)
def test_bad_arguments_are_refused_when_building(build):
    with pytest.raises(ConfigError, match='must be'):
        build()
