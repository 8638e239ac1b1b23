"""Files of other people's trainings: several networks in one, named, never guessed."""

import copy
import pickle
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmkd.checkpoints import read_checkpoint
from mmkd.errors import CheckpointError, ConfigError
from mmkd.models import Distiller
from mmkd.models.backbones import FrozenBackbone
from mmkd.models.load_weights import load_weights
from mmkd.models.stock_network import build_network
from mmkd.models.teacher import Teacher
from mmkd.testing import toy_classifier
from mmkd.transfer import parse_entries


def network(seed, **children):
    torch.manual_seed(seed)
    parts = children or dict(stem=nn.Linear(2, 3), norm=nn.BatchNorm1d(3))
    model = nn.ModuleDict(copy.deepcopy(parts))
    for tensor in model.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape) * 9 + 1)
    return model


WANTED, OTHER = network(1), network(2)


def under(**networks):
    """Name weights by what is before them, with '__' for each dot."""
    return {
        name.replace('__', '.') + key: tensor.clone()
        for name, model in networks.items()
        for key, tensor in model.state_dict().items()
    }


def with_second(first, second):
    """As mmcv 1's EMAHook: a second set beside the first, with '_' for each dot."""
    flat = {f'ema_{k.replace(".", "_")}': v for k, v in second.state_dict().items()}
    return {**first.state_dict(), **flat}


#: By whose they are: prefix of the wanted network, and the names in the file.
FILES = {
    'mmrazor': (
        'teacher.',
        under(architecture__=OTHER, teacher__=WANTED, distiller__connectors__a__=OTHER),
    ),
    "mmrazor's student": (
        'architecture.',
        under(architecture__=WANTED, teacher__=OTHER),
    ),
    'mmrazor 0': (
        'architecture.',
        under(architecture__model__=WANTED, distiller__teacher__=OTHER),
    ),
    'mmrazor 0, teacher': (
        'distiller.teacher.',
        under(architecture__model__=OTHER, distiller__teacher__=WANTED),
    ),
    'SoftTeacher': ('teacher.', under(student__=OTHER, teacher__=WANTED)),
    'SoftTeacher, student': ('student.', under(student__=WANTED, teacher__=OTHER)),
    'DDP': ('teacher.', under(module__student__=OTHER, module__teacher__=WANTED)),
    'DDP, in full': (
        'module.teacher.',
        under(module__student__=OTHER, module__teacher__=WANTED),
    ),
    'without a dot': ('teacher', under(teacher_ema__=OTHER, teacher__=WANTED)),
    'Lightning': ('net.', under(net__=WANTED, ema__=OTHER)),
    'wrapped inside': ('teacher.', under(teacher__module__=WANTED, student__=OTHER)),
    'alone': ('teacher.', under(teacher__=WANTED)),
    'what is taken off anyway': ('model.', under(model__=WANTED)),
}


@pytest.fixture
def saved(tmp_path):
    def save(weights, name='a.pth'):
        torch.save(dict(state_dict=weights, meta={}), tmp_path / name)
        return str(tmp_path / name)

    return save


def loaded(path, like=WANTED, **kwargs):
    model = copy.deepcopy(like)
    for tensor in model.state_dict().values():
        tensor.zero_()
    load_weights(model, path, 'it', **kwargs)
    return model


def same(model, other):
    return all(
        map(torch.equal, model.state_dict().values(), other.state_dict().values())
    )


@pytest.mark.parametrize('whose', FILES)
def test_a_prefix_takes_what_begins_so(whose, saved):
    prefix, weights = FILES[whose]
    assert same(loaded(saved(weights), prefix=prefix), WANTED)


@pytest.mark.parametrize(
    'whose', [name for name in FILES if name != 'what is taken off anyway']
)
def test_without_it_the_refusal_says_what_to_write(whose, saved):
    path = saved(FILES[whose][1])
    with pytest.raises(CheckpointError, match=f'^{path} does not fit.*\\.$') as caught:
        loaded(path)
    advice = str(caught.value).partition('give prefix=')[2]
    advised = re.findall(r"'([\w.]+)'", advice)
    assert any(same(loaded(path, prefix=prefix), WANTED) for prefix in advised)


def test_all_that_fit_are_said_with_how_much_of_them(saved):
    weights = under(student__=WANTED, teacher__=WANTED, module__=nn.Linear(2, 3))
    del weights['student.norm.weight']
    with pytest.raises(CheckpointError) as caught:
        loaded(saved(weights))
    said = "'teacher.' (7 of 7) and 'student.' (6 of 7): give prefix='teacher.' or 'st"
    assert said in str(caught.value)


def test_others_beside_the_own_are_said(saved):
    weights = {**WANTED.state_dict(), **under(teacher__=OTHER)}
    with pytest.raises(CheckpointError, match=r"others .* 'teacher\.' .*prefix='teach"):
        loaded(saved(weights))
    assert same(loaded(saved(weights), prefix='teacher.'), OTHER)


@pytest.mark.parametrize('prefix', ['techer.', 'student', 'teacher.stem.x'])
def test_a_prefix_that_is_not_there(prefix, saved):
    path = saved(under(teacher__=WANTED, architecture__=OTHER))
    with pytest.raises(CheckpointError) as caught:
        loaded(path, prefix=prefix)
    for word in (prefix, path, "'teacher.' (7)", "'architecture.' (7)"):
        assert word in str(caught.value)


@pytest.mark.parametrize('prefix', ['', 3, ['teacher.'], True])
def test_a_prefix_that_is_no_text(prefix, saved):
    with pytest.raises(ConfigError, match=r"prefix must be .*'teacher\.'"):
        loaded(saved(under(teacher__=WANTED)), prefix=prefix)


class TestWhichIsMeant:
    """Where a network's own names begin as a prefix does."""

    @pytest.mark.parametrize('outer', ['', 'module__'])
    @pytest.mark.parametrize('child', ['teacher', 'student', 'model', 'module'])
    def test_a_prefix_is_taken_off_once(self, child, outer, saved):
        wanted = network(3, **{child: network(4)})
        outer = outer if outer != f'{child}__' else 'model__'
        names = {f'{outer}{child}__': wanted, f'{outer}other__': OTHER}
        assert same(loaded(saved(under(**names)), wanted, prefix=f'{child}.'), wanted)

    @pytest.mark.parametrize('child', ['student', 'model', 'module'])
    def test_what_is_inside_keeps_its_name(self, child, saved):
        wanted = network(3, **{child: network(4)})
        path = saved(under(teacher__=wanted, student__=OTHER))
        assert same(loaded(path, wanted, prefix='teacher.'), wanted)

    def test_the_outermost(self, saved):
        weights = under(model__model__=WANTED, model__other__=OTHER)
        path = saved(weights)
        assert same(loaded(path, prefix='model.model.'), WANTED)
        # All names begin so: what is left are two networks.
        with pytest.raises(CheckpointError, match=r"give prefix='model\.model\.' or"):
            loaded(path, prefix='model.')


class TestOfWhichOnlyOneIsBroken:
    weights = under(student__=OTHER, teacher__=WANTED)
    weights['student.stem.weight'] = torch.full((3, 2), float('nan'))

    def test_the_other_is_taken(self, saved):
        assert same(loaded(saved(self.weights), prefix='teacher.'), WANTED)

    def test_it_is_refused(self, saved):
        with pytest.raises(CheckpointError, match='not finite'):
            loaded(saved(self.weights), prefix='student.')


class TestASecondSet:
    """Of mmdet 2: averages have the plain names, and ``ema_`` what was trained."""

    def test_is_passed_over_and_said(self, saved):
        path = saved(with_second(WANTED, OTHER))
        assert same(loaded(path), WANTED)
        taken = read_checkpoint(path).fitting(WANTED.state_dict()).taken
        assert "without the second set under 'ema_'" in taken

    def test_is_taken_by_its_prefix(self, saved):
        assert same(loaded(saved(with_second(WANTED, OTHER)), prefix='ema_'), OTHER)

    def test_a_networks_own_name_stays(self, saved):
        wanted = network(3)
        wanted.register_buffer('ema_stem_weight', torch.ones(1))
        assert same(loaded(saved(wanted.state_dict()), wanted), wanted)


@pytest.fixture(scope='module')
def config():
    return toy_classifier()


@pytest.fixture
def trained(config, saved):
    """A file of two classifiers, and the weights of that under ``teacher.``."""
    torch.manual_seed(0)
    networks = [build_network(config) for _ in range(2)]
    return saved(under(student__=networks[0], teacher__=networks[1])), networks[1]


def of_the_probe(config, path, prefix=None):
    whole = Config(dict(default_scope='mmpretrain', model=config))
    (entry,) = parse_entries([path], whole, prefix)
    return entry.build(input_size=32, device='cpu').model


MAKERS = dict(
    probe=of_the_probe,
    teacher=lambda *args, **kw: Teacher(*args, **kw).model,
    backbone=lambda *args, **kw: FrozenBackbone(*args, **kw).network,
)


@pytest.mark.parametrize('maker', MAKERS)
def test_a_config_says_the_prefix(maker, config, trained):
    path, wanted = trained
    assert same(MAKERS[maker](config, path, prefix='teacher.'), wanted)
    with pytest.raises(CheckpointError, match=r"prefix='student\.' or 'teacher\.'"):
        MAKERS[maker](config, path)


def test_a_student_starts_from_one_as_mmengine_has_it(config, trained):
    path, wanted = trained
    weights = torch.load(path)['state_dict']
    with pytest.raises(CheckpointError, match=r"init_cfg=.*'Pretrained'.*'teacher\.'"):
        Distiller(config, losses={}).load_state_dict(weights)
    start = dict(type='Pretrained', checkpoint=path, prefix='teacher.')
    model = Distiller(dict(config, init_cfg=start), losses={})
    model.init_weights()
    assert same(model.student, wanted)


class TestAPickleOfArrays:
    """As detectron2 publishes."""

    @pytest.fixture(params=[2, 4])
    def pickled(self, request, tmp_path):
        def save(content):
            path = tmp_path / 'a.pkl'
            path.write_bytes(pickle.dumps(content, protocol=request.param))
            return str(path)

        return save

    def arrays(self, **networks):
        return {name: tensor.numpy() for name, tensor in under(**networks).items()}

    def test_is_read(self, pickled):
        weights = self.arrays(module__=WANTED)
        name = 'module.stem.weight'
        weights[name] = weights[name].astype('>f4')
        assert same(loaded(pickled(dict(model=weights, __author__='x'))), WANTED)

    def test_of_other_names_is_said_whose_they_are(self, pickled):
        weights = self.arrays(backbone__bottom_up__=WANTED, roi_heads__=OTHER)
        with pytest.raises(CheckpointError, match='as in detectron2: convert it'):
            loaded(pickled(dict(model=weights)), network(5, backbone=WANTED))

    def test_that_needs_more_is_refused(self, pickled):
        weights = dict(self.arrays(a__=WANTED), b=np.dtype)
        with pytest.raises(CheckpointError, match='holds more than weights'):
            read_checkpoint(pickled(dict(model=weights, call=print)))

    def test_that_is_cut_off_is_said(self, pickled, tmp_path):
        path = pickled(dict(model=self.arrays(a__=WANTED)))
        whole = (tmp_path / 'a.pkl').read_bytes()
        (tmp_path / 'a.pkl').write_bytes(whole[: len(whole) // 2])
        with pytest.raises(CheckpointError, match='truncated'):
            read_checkpoint(path)
