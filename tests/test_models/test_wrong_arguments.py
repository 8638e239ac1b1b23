"""Arguments of wrong kinds or out of range: a sentence when built, no traceback."""

import copy
import inspect
import re

import pytest
import torchvision
from mmengine.config import Config
from torch import nn

from mmkd.configs import build_model
from mmkd.construct import construct
from mmkd.errors import ConfigError
from mmkd.models import Distiller, DistillLoss, adapters, losses
from mmkd.models.inference_form import InferenceForm
from mmkd.models.pairings import Pairing
from mmkd.registry import MODELS, PAIRINGS
from mmkd.testing import toy_classifier, toy_detector

#: What no argument takes that is no text, and what may be taken or refused.
NEVER = ['x', float('nan'), float('inf'), 1e40, -1, {}, {'type': 'x'}, [[1]], object]
OTHER = [None, True, 0, 1e-50, 0.5, 10**30, [], [1], '']
NEEDED = dict(
    CRDLoss=dict(num_samples=10, negatives=4),
    ConvAdapter=dict(in_channels=4, out_channels=8),
    ConvNormAdapter=dict(in_channels=4, out_channels=8),
    LinearAdapter=dict(in_channels=4, out_channels=8),
    StageClassifierAdapter=dict(in_channels=4, out_channels=8, width=16),
)
#: Checked against the modules in on=, when these are known.
LATER = {('LAKDLoss', 'cuts')}
BUILT = [
    kind
    for module in (losses, adapters)
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, nn.Module) and kind is not DistillLoss
]
ARGUMENTS = [
    (kind, name)
    for kind in [*BUILT, InferenceForm]
    for name in inspect.signature(kind).parameters
    if kind.__name__.endswith(('Loss', 'Adapter', 'Form'))
    and (kind.__name__, name) not in LATER
]


@pytest.mark.parametrize(
    'kind, name', ARGUMENTS, ids=lambda item: getattr(item, '__name__', item)
)
def test_each_argument_of_what_is_built(kind, name):
    for value in [*NEVER, *OTHER]:
        arguments = dict(NEEDED.get(kind.__name__, {}), **{name: value})
        try:
            construct(kind.__name__, kind, **arguments)
        except ConfigError:
            continue
        assert not any(value is never for never in NEVER), (kind, name, value)


def classifier(loss=None, student=None, losses=None, teachers=None, **teacher):
    spec = dict(dict(config=toy_classifier(), allow_untrained=True), **teacher)
    loss = dict(dict(type='KDLoss', on='logits'), **(loss or {}))
    return Distiller(
        toy_classifier() if student is None else student,
        dict(loss_kd=loss) if losses is None else losses,
        teacher=None if teachers is not None else spec,
        teachers=teachers,
        probe_size=32,
    )


def changed(**changes):
    model = toy_classifier()
    for path, value in changes.items():
        part, _, key = path.partition('__')
        model[part][key] = value
    return model


RIGHT = dict(config=toy_classifier(), allow_untrained=True)
CASES = dict(
    no_losses=(dict(losses=[]), 'losses must be a dict of dicts'),
    losses_of_text=(dict(losses='loss_kd'), 'losses must be a dict of dicts'),
    no_teachers=(dict(teachers={}), 'teachers={}: there is none'),
    a_list_of_teachers=(dict(teachers=[RIGHT]), 'teachers must be a dict of dicts'),
    nothing_on=(dict(loss=dict(on=None)), 'on=None must be one of logits'),
    a_number_on=(dict(loss=dict(on=3)), 'on=3 must be one of logits'),
    an_empty_list_on=(dict(loss=dict(on=[])), r'on=\[\] must be one of logits'),
    no_module=(dict(loss=dict(on=dict(student=[]))), 'is no name of a module'),
    an_adapter_of_text=(
        dict(loss=dict(type='FitNetLoss', on=dict(student='neck', adapter='x'))),
        "adapter must be 'auto', None or a dict",
    ),
    a_kind_of_adapter=(
        dict(
            loss=dict(type='FitNetLoss', on=dict(student='neck', adapter=dict(type=3)))
        ),
        "unknown adapter '3'; known: .*LinearAdapter",
    ),
    an_adapters_argument=(
        dict(
            loss=dict(
                type='OFALoss',
                on=dict(
                    pairing='logits',
                    modules=['backbone.layer1'],
                    adapter=dict(type='StageClassifierAdapter', width='wide'),
                ),
            )
        ),
        "width must be a whole number .*'wide'",
    ),
    modules_of_logits=(
        dict(loss=dict(on=dict(pairing='logits', modules=5))),
        "on='logits' cannot be built with modules=5",
    ),
    weight_of_text=(dict(loss=dict(weight='1')), "weight must be a number .*'1'"),
    a_list_of_weights=(dict(loss=dict(weight=[1])), 'weight must be a number'),
    a_weight_that_is_true=(dict(loss=dict(weight=True)), 'weight must be a number'),
    no_weight=(dict(loss=dict(weight=None)), 'weight must be a number'),
    a_number_as_type=(dict(loss=dict(type=3)), "unknown loss '3'; known: "),
    no_type=(dict(loss=dict(type=None)), "unknown loss 'None'; known: "),
    a_path_as_student=(dict(student='a.py'), "student must be the model .* got 'a.py'"),
    a_whole_config_as_student=(
        dict(student=dict(model=toy_classifier())),
        'student must be the model .* got the keys model',
    ),
    students_type=(
        dict(student=dict(toy_classifier(), type='ImageClasifier')),
        "the student: no model of type 'ImageClasifier' .* mean ImageClassifier",
    ),
    students_backbone=(
        dict(student=changed(backbone__type='ResNt')),
        "the student: no model of type 'ResNt' .*; did you mean ResNet",
    ),
    students_depth=(
        dict(student=changed(backbone__depth=19)),
        'the student cannot be built .*depth 19',
    ),
    students_argument=(
        dict(student=changed(backbone__dpeth=18)),
        "the student cannot be built .*argument 'dpeth'",
    ),
    a_torchvision_student=(
        dict(student=torchvision.models.resnet18()),
        'the student is a torchvision.*ResNet, which has no data_preprocessor',
    ),
    teachers_type=(
        dict(config=dict(toy_classifier(), type='ImageClasifier')),
        "the teacher: no model of type 'ImageClasifier' .* mean ImageClassifier",
    ),
    teachers_backbone=(
        dict(config=changed(backbone__type='mmpretrain.ResNt')),
        "the teacher: no model of type 'mmpretrain.ResNt' .* mean ResNet",
    ),
    teachers_depth=(
        dict(config=changed(backbone__depth=19)),
        'the teacher cannot be built .*depth 19',
    ),
    a_torchvision_teacher=(
        dict(config=dict(type=torchvision.models.resnet18)),
        'the teacher is a torchvision.*ResNet, which has no data_preprocessor',
    ),
    a_torchvision_teacher_by_name=(
        dict(config=dict(type='torchvision.models.resnet18')),
        'the teacher is a torchvision.*ResNet, which has no data_preprocessor',
    ),
    a_teacher_of_no_type=(
        dict(config=dict(backbone=dict(type='ResNet'))),
        'the teacher config has no model: .* got the keys backbone',
    ),
    teachers_config=(dict(config=3), 'the teacher config must be a path or a dict'),
    no_teachers_config=(dict(config=None), 'the teacher config must be a path or a'),
    teachers_argument=(
        dict(checkpont='a.pth'),
        "teacher 'teacher': .*'checkpont'; its arguments are config, checkpoint",
    ),
    inference=(dict(inference='fast'), 'inference must be a dict'),
    a_switch=(dict(inference=dict(fold_bn='False')), 'fold_bn must be True or False'),
)


@pytest.mark.parametrize('name', CASES)
def test_an_argument_of_the_distiller(name):
    arguments, sentence = CASES[name]
    with pytest.raises(ConfigError) as caught:
        classifier(**copy.deepcopy(arguments))
    message = str(caught.value)
    assert re.search(sentence, message), message
    assert '\n' not in message and message[-1] in '.?', message
    assert len(message) < 700, message


@pytest.mark.parametrize(
    'change, sentence',
    [
        (dict(techer={}), "the model cannot be built .*argument 'techer'"),
        (dict(losses=None), 'losses must be a dict of dicts'),
        (dict(type='mmkd.Distillr'), "the model: no model of type 'mmkd.Distillr'.*"),
        (dict(type=None), 'the model cannot be built'),
    ],
)
def test_the_model_of_a_config(change, sentence):
    model = dict(type='mmkd.Distiller', student=toy_classifier(), losses={})
    with pytest.raises(ConfigError, match=sentence) as caught:
        build_model(Config(dict(model=dict(model, **change))))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'option, value',
    [
        ('select', 3),
        ('select', []),
        ('conf', 'high'),
        ('conf', 1.5),
        ('conf', None),
        ('background', 'False'),
        ('background', None),
        ('stages', 0),
        ('stages', []),
        ('stages', ['x']),
        ('stages', 'all'),
        ('stages', [[0]]),
    ],
)
def test_an_option_of_rois(option, value):
    on = dict({'pairing': 'roi.logits', option: value})
    entries = dict(loss_kd=dict(type='KDLoss', on=on))
    teacher = dict(config=toy_detector(), allow_untrained=True)
    with pytest.raises(ConfigError, match=option):
        Distiller(toy_detector(), entries, teacher=teacher)


class TestOfAnotherProject:
    """What raises what it should not is named: its class, and where."""

    def test_a_loss(self, monkeypatch):
        class ForeignLoss(DistillLoss):
            def compare(self, student, teacher, target=None):
                return student.nothing()

        monkeypatch.setitem(MODELS.module_dict, 'ForeignLoss', ForeignLoss)
        with pytest.raises(ConfigError, match='loss_kd: ForeignLoss, .*AttributeError'):
            classifier(dict(type='ForeignLoss'))

    def test_an_adapter(self, monkeypatch):
        class ForeignAdapter(nn.Linear):
            def __init__(self, in_channels, out_channels):
                super().__init__(in_channels + 1, out_channels)

        monkeypatch.setitem(MODELS.module_dict, 'ForeignAdapter', ForeignAdapter)
        on = dict(student='neck', adapter=dict(type='ForeignAdapter'))
        with pytest.raises(ConfigError, match='loss_kd: FitNetLoss, .*RuntimeError'):
            classifier(dict(type='FitNetLoss', on=on))

    @pytest.mark.parametrize('answer', [None, [3], 'x'])
    def test_a_pairing(self, answer, monkeypatch):
        class ForeignPairing(Pairing):
            def __init__(self, name, student, teacher):
                super().__init__(name, student, teacher, ['head'], ['head'])

            def tensors(self, taps, role):
                return answer

        monkeypatch.setitem(PAIRINGS.module_dict, 'foreign', ForeignPairing)
        with pytest.raises(ConfigError, match='loss_kd: KDLoss, ForeignPairing'):
            classifier(dict(on='foreign'))

    def test_a_pairing_that_cannot_be_made(self, monkeypatch):
        class ForeignPairing(Pairing):
            def __init__(self, name, student, teacher):
                raise KeyError('heads')

        monkeypatch.setitem(PAIRINGS.module_dict, 'foreign', ForeignPairing)
        with pytest.raises(
            ConfigError, match="on='foreign' cannot .*KeyError: 'heads'"
        ):
            classifier(dict(on='foreign'))
