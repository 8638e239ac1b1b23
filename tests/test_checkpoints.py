"""One reader: it finds the weights in any usual file, and names what it took off."""

import copy
import re
from pickle import PicklingError

import pytest
import torch
from mmengine.logging import MMLogger
from torch import nn

from mmkd.checkpoints import PLACES, Checkpoint, read_checkpoint, write_checkpoint
from mmkd.errors import CheckpointError
from mmkd.misfit import misfit
from mmkd.models import Distiller
from mmkd.models.load_weights import load_weights
from mmkd.testing import toy_classifier

PREFIXES = ['', 'module.', 'model.', 'student.', 'module.model.', 'model.model.']


def network(**children):
    """Give a network with children of these names, and something in them."""
    parts = children or dict(stem=nn.Linear(2, 3), norm=nn.BatchNorm1d(3))
    return nn.ModuleDict({name: copy.deepcopy(part) for name, part in parts.items()})


def renamed(model, prefix):
    return {prefix + key: value for key, value in model.state_dict().items()}


@pytest.fixture
def saved(tmp_path):
    def save(content):
        torch.save(content, tmp_path / 'a.pth')
        return str(tmp_path / 'a.pth')

    return save


@pytest.fixture
def logged(monkeypatch):
    """What the current logger is told."""
    lines = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(
        logger, 'log', lambda level, text, **kw: lines.append((level, str(text)))
    )
    return lines


def fits(model, path):
    """Load into a network with other weights, and compare."""
    other = copy.deepcopy(model)
    for tensor in other.state_dict().values():
        tensor.zero_()
    load_weights(other, path, 'it')
    pairs = zip(other.state_dict().values(), model.state_dict().values())
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize('prefix', PREFIXES)
@pytest.mark.parametrize('place', PLACES)
def test_weights_are_found_wherever_they_are(place, prefix, saved, logged):
    model = network()
    weights = renamed(model, prefix)
    path = saved({place: weights, 'epoch': 3} if place else weights)
    assert fits(model, path)
    about = [text for level, text in logged if 'weights are taken' in text]
    expected = [f'under {place!r}'] * (place not in ('', 'state_dict'))
    expected += [f'without the prefix {prefix!r} of all names'] * bool(prefix)
    assert about == [f'{path}: its weights are taken {", ".join(expected)}.'] * bool(
        expected
    )


@pytest.mark.parametrize('outer', ['', 'module.', 'model.', 'student.'])
@pytest.mark.parametrize('child', ['model', 'student', 'module'])
def test_a_networks_own_child_keeps_its_name(child, outer, saved):
    """Such as mmpretrain's TIMM wrapper, all of whose weights are in ``model``."""
    model = network(**{child: network()})
    assert fits(model, saved(dict(state_dict=renamed(model, outer))))


def test_a_child_among_others_is_no_prefix(saved):
    model = network(model=nn.Linear(2, 2), head=nn.Linear(2, 2))
    assert fits(model, saved(model.state_dict()))


def test_a_prefix_of_some_names_stays(saved):
    model = network()
    weights = renamed(model, 'module.')
    weights['stem.weight'] = weights.pop('module.stem.weight')
    with pytest.raises(CheckpointError, match='unexpected keys module.stem.bias'):
        load_weights(model, saved(weights), 'it')


def test_what_a_distiller_learned_is_passed_over(saved):
    model = network()
    weights = renamed(model, '')
    weights['distill.loss_x.weight'] = torch.zeros(1)
    path = saved(dict(state_dict=weights))
    assert not any('distill' in key for key in read_checkpoint(path).weights)
    assert fits(model, path)
    wrapped = {f'module.{key}': value for key, value in weights.items()}
    assert fits(model, saved(dict(state_dict=wrapped)))


@pytest.mark.parametrize('counter', ['steps', 'n_averaged'])
def test_averaged_models_count_beside_their_weights(counter, saved):
    model = network()
    averaged = renamed(model, 'module.')
    averaged[counter] = torch.tensor(3)
    assert fits(model, saved(dict(ema_state_dict=averaged)))


def test_of_two_sets_of_weights_the_other_is_named(saved, logged):
    model, other = network(), network(stem=nn.Linear(2, 3), norm=nn.BatchNorm1d(3))
    content = dict(ema_state_dict=renamed(other, 'module.'))
    path = saved(dict(content, state_dict=model.state_dict()))
    assert fits(model, path)
    assert any("under 'state_dict', not 'ema_state_dict'" in text for _, text in logged)


def test_what_was_taken_off_is_in_the_error(saved):
    path = saved(dict(model_ema=renamed(network(), 'module.')))
    with pytest.raises(CheckpointError) as caught:
        load_weights(network(stem=nn.Linear(2, 3)), path, 'the teacher (X)')
    message = str(caught.value)
    assert message.startswith(f'{path} does not fit the teacher (X): missing keys none')
    assert (
        "(taken under 'model_ema', without the prefix 'module.' of all names); give"
    ) in message
    path = saved(dict(state_dict=renamed(network(), '')))
    with pytest.raises(CheckpointError) as caught:
        load_weights(network(stem=nn.Linear(2, 4)), path, 'it')
    message = str(caught.value)
    assert 'size mismatch' in message and '(taken' not in message


def test_a_part_is_taken_under_a_prefix(saved):
    model = network()
    weights = {f'module.{key}': v for key, v in renamed(model, 'backbone.').items()}
    path = saved(dict(state_dict=dict(weights, **{'module.head.w': torch.ones(1)})))
    other = network(stem=nn.Linear(2, 3), norm=nn.BatchNorm1d(3))
    loaded = load_weights(other, path, 'it', part='backbone.')
    assert torch.equal(other['stem'].weight, model['stem'].weight)
    assert loaded.weights.keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    'meta, names',
    [
        (dict(dataset_meta=dict(classes=['a', 'b'])), ('a', 'b')),
        (dict(dataset_meta=dict(CLASSES=('a', 'b'))), ('a', 'b')),
        (dict(CLASSES=['a', 'b']), ('a', 'b')),
        (dict(CLASSES='person'), ('person',)),
        (dict(epoch=3), None),
        (None, None),
    ],
)
def test_classes_as_openmmlab_spells_them(meta, names, saved):
    content = dict(state_dict=network().state_dict(), meta=meta)
    assert read_checkpoint(saved(content)).classes == names


@pytest.mark.parametrize(
    'content, message',
    [
        ([torch.zeros(1)], 'holds a list, not the weights'),
        (torch.zeros(1), 'holds a Tensor, not the weights'),
        ({}, 'begins with nothing'),
        (dict(epoch=3, meta={}), "begins with 'epoch', 'meta'"),
        (dict(state_dict={}), "begins with 'state_dict'"),
        (dict(state_dict=dict(a=dict(b=torch.zeros(1)))), "begins with 'state_dict'"),
        ({1: torch.zeros(1)}, 'begins with 1'),
        (dict(params=dict(a=torch.ones(1))), "weights under 'params': save those"),
    ],
)
def test_files_without_tensors_by_name_are_one_sentence(content, message, saved):
    path = saved(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(path)
    assert path in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['nowhere.pth', 'torchvision://resnet19', '.'])
def test_what_is_not_there_is_one_sentence(name):
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(name)
    assert name.split('.')[0] in str(caught.value) and '\n' not in str(caught.value)


def test_written_whole_or_not_at_all(tmp_path):
    path, weights = tmp_path / 'new' / 'a.pth', network().state_dict()
    write_checkpoint(path, weights, dict(epoch=3))
    assert read_checkpoint(path).meta == dict(epoch=3)
    with pytest.raises((AttributeError, PicklingError)):
        write_checkpoint(path, dict(a=lambda: 0), {})
    assert read_checkpoint(path).weights.keys() == weights.keys()
    assert [file.name for file in path.parent.iterdir()] == ['a.pth']


@pytest.mark.parametrize(
    'meta', [dict(classes=3), dict(dataset_meta=['cat']), dict(dataset_meta=None), {}]
)
def test_names_that_are_none_are_no_names(meta):
    assert Checkpoint('path', {}, meta).classes is None


def broken(key, change):
    """Give weights of a network with one of its tensors changed."""
    weights = network().state_dict()
    weights[key] = change(weights[key].clone())
    return dict(state_dict=weights)


def quantised(tensor):
    return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


NAN = float('nan')


@pytest.mark.parametrize(
    'key, change, sentence',
    [
        ('stem.weight', lambda w: w.fill_(NAN), 'stem.weight is not finite'),
        ('stem.weight', lambda w: w.index_fill_(0, torch.tensor(0), NAN), 'not finite'),
        ('norm.running_var', lambda w: w.fill_(torch.inf), 'norm.running_var is not'),
        ('stem.bias', lambda w: w.half().fill_(-torch.inf).add(NAN), 'not finite'),
        ('stem.weight', lambda w: w.to(torch.cfloat) * NAN, 'not finite'),
        ('stem.weight', lambda w: w.to_sparse(), 'stem.weight is torch.sparse'),
        ('stem.weight', quantised, 'stem.weight is quantised'),
        ('stem.weight', lambda w: w.to('meta'), 'stem.weight is without data'),
    ],
)
def test_tensors_that_are_no_weights_are_refused_by_every_reader(
    key, change, sentence, saved
):
    with pytest.raises(CheckpointError, match=sentence) as caught:
        read_checkpoint(saved(broken(key, change)))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'key, change, sentence',
    [
        (
            'stem.weight',
            lambda w: w.long(),
            'stem.weight as torch.int64, where .*float',
        ),
        ('stem.bias', lambda w: w > 0, 'stem.bias as torch.bool, where'),
        ('stem.weight', lambda w: w.to(torch.cfloat), 'complex64, where'),
        ('stem.weight', lambda w: w.zero_(), 'all of its 1 matrices are zero'),
        ('stem.weight', lambda w: w[:1], 'size mismatch'),
        ('stem.weight', lambda w: w[:0], 'zero|size mismatch'),
    ],
)
def test_tensors_of_another_kind_are_refused_by_the_network(
    key, change, sentence, saved
):
    with pytest.raises(CheckpointError, match=sentence):
        load_weights(network(), saved(broken(key, change)), 'it')


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float64', 'float8_e4m3fn'])
def test_other_precisions_are_fine(dtype, saved):
    path = saved(broken('stem.weight', lambda w: w.to(getattr(torch, dtype))))
    load_weights(network(), path, 'it')


def test_a_mask_of_minus_infinity_is_fine(saved):
    model = network()
    mask = torch.full((3, 3), -torch.inf).triu(1)
    model.register_buffer('mask', mask)
    assert fits(model, saved(model.state_dict()))


NAMES = dict(
    own=['backbone.conv1.weight', 'backbone.layer1.0.conv1.weight', 'head.fc.weight'],
    prefixed=['net.backbone.conv1.weight', 'net.head.fc.weight', 'net.head.fc.bias'],
    torchvision=['conv1.weight', 'layer1.0.conv1.weight', 'fc.weight'],
    timm=['patch_embed.proj.weight', 'blocks.0.attn.qkv.weight', 'head.weight'],
    hugging_face=['vit.encoder.layer.0.attention.attention.query.weight'],
    other=['a.weight', 'b.weight'],
)


@pytest.mark.parametrize(
    'kind, sentence',
    [
        (
            'prefixed',
            r"begin with 'net\.' \(3 of 4\): give prefix='net\.' or save them without$",
        ),
        (
            'torchvision',
            r"its names lack 'backbone\.' in front.*torchvision: .*'head\.'",
        ),
        ('timm', "they are as in timm: build it whole, as type='TimmClassifier'"),
        ('hugging_face', "as in HuggingFace: .*type='HuggingFaceClassifier'"),
        ('other', '^$'),
        ('own', '^$'),
    ],
)
def test_the_names_show_why_they_do_not_fit(kind, sentence):
    wanted = [*NAMES['own'], 'head.fc.bias']
    assert re.search(sentence, misfit(wanted, NAMES[kind]))


def test_what_the_names_show_is_said_of_a_teacher(saved):
    model = network(backbone=network(), head=nn.Linear(3, 2))
    path = saved(model['backbone'].state_dict())
    with pytest.raises(CheckpointError, match=r"missing keys .*lack 'backbone\.' in"):
        load_weights(model, path, 'the teacher')
    other = {f'vision.{key}': value for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"missing keys .*begin with 'vision\.'"):
        load_weights(model, saved(other), 'the teacher')


def test_what_the_names_show_is_said_of_a_student(saved):
    model = Distiller(toy_classifier(), losses={})
    weights = model.student.backbone.state_dict()
    with pytest.raises(CheckpointError, match=r"none of the .*lack 'backbone\.' in"):
        model.load_state_dict(weights)
