"""Loss weights over time."""

import pytest
from mmengine.logging import MessageHub

from mmkd.errors import ConfigError
from mmkd.models.schedule import Progress, Schedule


def at(epoch=0, iter=0, max_epochs=240, max_iters=1000):
    return Progress(iter, epoch, max_iters, max_epochs)


def test_a_number_is_a_constant():
    schedule = Schedule.build(0.9)
    assert [schedule(at(epoch)) for epoch in (0, 100, 239)] == [0.9] * 3
    assert not schedule.is_over(at(239))


def test_warmup_by_epochs_is_the_published_one():
    """min(epoch / 20, 1) with epochs counted from 1."""
    schedule = Schedule.build(dict(value=2.0, warmup_epochs=20))
    assert schedule(at(0)) == pytest.approx(2 / 20)
    assert schedule(at(9)) == pytest.approx(1.0)
    assert schedule(at(19)) == schedule(at(200)) == 2.0


def test_warmup_by_iterations():
    schedule = Schedule.build(dict(warmup_iters=100))
    assert schedule(at(iter=0)) == pytest.approx(0.01)
    assert schedule(at(iter=99)) == schedule(at(iter=500)) == 1.0


def test_linear_and_cosine_reach_their_ends():
    for shape in ('linear', 'cosine'):
        schedule = Schedule(2.0, shape=shape, begin=10, end=20, end_value=1.0)
        values = [schedule(at(epoch)) for epoch in (0, 10, 15, 20, 30)]
        assert values == pytest.approx([2, 2, 1.5, 1, 1])
        assert not schedule.is_over(at(30))
    quarter = Schedule(1.0, shape='cosine', end=100)(at(25))
    assert quarter == pytest.approx(0.8535533905932737)


def test_a_fade_without_end_takes_all_of_training():
    schedule = Schedule(1.0, shape='linear', unit='iter')
    assert schedule(at(iter=250)) == pytest.approx(0.75)
    assert not schedule.is_over(at(iter=999))
    assert schedule.is_over(at(iter=1000))


def test_a_rise_from_zero_is_not_over():
    schedule = Schedule(0.0, shape='linear', begin=0, end=10, end_value=1.0)
    values = [schedule(at(epoch)) for epoch in (0, 5, 10, 20)]
    assert values == pytest.approx([0, 0.5, 1, 1])
    assert not any(schedule.is_over(at(epoch)) for epoch in (0, 5, 20))
    assert Schedule(0.0, shape='linear', end=10).is_over(at(0))


def test_steps():
    schedule = Schedule(1.0, shape='step', milestones=[150, 180], gamma=0.1)
    values = [schedule(at(epoch)) for epoch in (149, 150, 180)]
    assert values == pytest.approx([1, 0.1, 0.01])


def test_stop_is_zero_for_good():
    schedule = Schedule(1.0, stop=5, unit='iter')
    assert schedule(at(iter=4)) == 1 and not schedule.is_over(at(iter=4))
    assert schedule(at(iter=5)) == 0 and schedule.is_over(at(iter=5))
    assert Schedule(0.0).is_over(at())


def test_progress_comes_from_the_message_hub():
    hub = MessageHub.get_instance('test_schedule')
    for key, value in dict(iter=7, epoch=3, max_iters=70, max_epochs=30).items():
        hub.update_info(key, value)
    assert Progress.current() == Progress(7, 3, 70, 30)


@pytest.mark.parametrize(
    'spec, sentence',
    [
        ('1.0', 'must be a number or a dict'),
        (True, 'must be a number or a dict'),
        (dict(shape='square'), 'shape must be one of'),
        (dict(unit='day'), "unit must be 'epoch' or 'iter'"),
        (dict(value=-1), 'must be a number of at least 0'),
        (dict(warmup_iters=1, warmup_epochs=1), 'not both'),
        (dict(shape='step'), 'needs milestones'),
        (dict(shape='linear', begin=9, end=9), 'must come after'),
        (dict(warmup=20), "unexpected keyword argument 'warmup'"),
    ],
)
def test_bad_schedules_are_refused(spec, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Schedule.build(spec)


def test_epochs_in_a_loop_by_iterations_are_refused():
    schedule = Schedule(1.0, warmup_epochs=20)
    with pytest.raises(ConfigError, match='use warmup_iters'):
        schedule.check(at(max_epochs=1))
    schedule.check(at(max_epochs=2))
    Schedule(1.0, warmup_iters=20).check(at(max_epochs=1))


@pytest.mark.parametrize(
    'spec, name',
    [
        (dict(value='1.0'), 'value'),
        (dict(value=float('nan')), 'value'),
        (dict(value=1e40), 'value'),
        (dict(value=10**400), 'value'),
        (dict(value=None), 'value'),
        (dict(warmup_iters='10'), 'warmup_iters'),
        (dict(warmup_iters=float('nan')), 'warmup_iters'),
        (dict(warmup_iters=2.5), 'warmup_iters'),
        (dict(warmup_epochs=0.5), 'warmup_epochs'),
        (dict(warmup_epochs=True), 'warmup_epochs'),
        (dict(shape='linear', begin=0.5), 'begin'),
        (dict(shape='linear', end=1.5), 'end'),
        (dict(shape='linear', end=3, end_value=1e39), 'end_value'),
        (dict(stop=2.5), 'stop'),
        (dict(shape='step', milestones=[3], gamma=-1), 'gamma'),
        (dict(shape='step', milestones=3), 'milestones'),
        (dict(shape='step', milestones=['3']), 'milestones'),
        (dict(shape='step', milestones=[3.5]), 'milestones'),
    ],
)
def test_what_is_no_number_is_refused(spec, name):
    with pytest.raises(ConfigError, match=f'^weight: {name} must be a '):
        Schedule.build(spec)


def test_what_never_begins_is_refused():
    with pytest.raises(ConfigError, match='before it begins'):
        Schedule.build(dict(value=1.0, stop=0))


def test_a_whole_number_may_be_written_as_a_power_of_ten():
    assert Schedule(warmup_iters=1e3)(at(iter=499)) == 0.5


@pytest.mark.parametrize('shape', ['linear', 'cosine'])
def test_to_the_end_of_a_run_by_iterations_is_refused_in_epochs(shape):
    schedule = Schedule(shape=shape)
    with pytest.raises(ConfigError, match="unit='iter'"):
        schedule.check(Progress(max_epochs=1, max_iters=100))
    schedule.check(Progress(max_epochs=10))
    Schedule(shape=shape, unit='iter').check(Progress(max_epochs=1, max_iters=100))


@pytest.mark.parametrize(
    'spec, name',
    [
        (dict(end_value=0.5), 'end_value'),
        (dict(end=3), 'end'),
        (dict(begin=3, shape='step', milestones=[4]), 'begin'),
        (dict(milestones=[3]), 'milestones'),
    ],
)
def test_what_a_shape_does_not_use_is_refused(spec, name):
    with pytest.raises(ConfigError, match=f'does not use {name};'):
        Schedule.build(spec)


@pytest.mark.parametrize('begin', [2, 3])
def test_a_change_that_begins_after_the_end_is_refused(begin):
    schedule = Schedule(shape='linear', begin=begin)
    with pytest.raises(ConfigError, match='lies at or after the end, 2 epochs'):
        schedule.check(Progress(max_epochs=2))
    schedule.check(Progress(max_epochs=begin + 1))
