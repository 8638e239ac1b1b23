"""Wrong inputs: each gets its sentence, before the first step where it can.

``pytest tests/test_models/test_wrong_inputs.py -n0 -s -k table`` prints the table.
"""

import copy
import re
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from mmengine.visualization import Visualizer

from mmkd.configs import load_config
from mmkd.engine.checks import check_batch_size, check_data
from mmkd.errors import MMKDError
from mmkd.models import Distiller, DistillLoss
from mmkd.registry import MODELS as MMKD_MODELS
from mmkd.testing import (
    classification_batch,
    toy_classifier,
    toy_detector,
)

ROOT = Path(__file__).resolve().parents[2]
KD = dict(type='KDLoss', on='logits')


def classifier(loss=KD, name='loss_kd', student=None, **teacher):
    spec = dict(dict(config=toy_classifier(), allow_untrained=True), **teacher)
    return Distiller(student or toy_classifier(), {name: loss}, teacher=spec)


def detector(loss, student=None, config=None):
    spec = dict(config=config or toy_detector(), allow_untrained=True)
    return Distiller(student or toy_detector(), dict(loss_it=loss), teacher=spec)


def step(model, batch):
    optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    return model.train().train_step(copy.deepcopy(batch), optim_wrapper)


def save(path, model=None, **meta):
    weights = MODELS.build(model or toy_classifier()).state_dict()
    torch.save(dict(state_dict=weights, meta=meta), path)
    return str(path)


@MMKD_MODELS.register_module()
class RowsLoss(DistillLoss):
    """Forgets to average."""

    def compare(self, student, teacher, target=None):
        return (student - teacher).square().sum(dim=1)


@MMKD_MODELS.register_module()
class PartsLoss(DistillLoss):
    """Names a part so that MMEngine would add it to the total."""

    def compare(self, student, teacher, target=None):
        return dict(loss_near=(student - teacher).square().mean())


@MMKD_MODELS.register_module()
class RootLoss(DistillLoss):
    """Finite, with a gradient that is not where both sides agree."""

    def compare(self, student, teacher, target=None):
        return (student - student.detach()).square().sum().sqrt()


@MMKD_MODELS.register_module()
class BeyondLoss(DistillLoss):
    """Is larger than any number."""

    def compare(self, student, teacher, target=None):
        return (student - teacher).square().mean() + float('inf')


@MMKD_MODELS.register_module()
class CuriousLoss(DistillLoss):
    """Asks for what nobody can tell."""

    needs = ('weather',)


CASES = {}


def case(title, sentence):
    """Register a wrong input and the sentence (a pattern) that it must get."""

    def register(function):
        CASES[title] = (function, sentence)
        return function

    return register


@case('no teacher checkpoint', 'the teacher has no checkpoint: give')
def _(tmp_path):
    classifier(allow_untrained=False)


@case('checkpoint is not there', r'no_such\.pth')
def _(tmp_path):
    classifier(checkpoint=str(tmp_path / 'no_such.pth'))


@case('checkpoint is cut short', 'truncated')
def _(tmp_path):
    path = save(tmp_path / 'cut.pth')
    with open(path, 'r+b') as file:
        file.truncate(10000)
    classifier(checkpoint=path)


@case('checkpoint is no state dict', 'holds a Tensor, not the weights of a model')
def _(tmp_path):
    torch.save(torch.zeros(2), tmp_path / 'tensor.pth')
    classifier(checkpoint=str(tmp_path / 'tensor.pth'))


@case('checkpoint of another width', 'does not fit the teacher.*size mismatch')
def _(tmp_path):
    path = save(tmp_path / 'wide.pth', toy_classifier(width=12))
    classifier(checkpoint=path)


@case('checkpoint of another task', 'missing keys backbone.*unexpected keys')
def _(tmp_path):
    path = save(
        tmp_path / 'linear.pth',
        dict(type='mmkd.LinearAdapter', in_channels=2, out_channels=2),
    )
    classifier(checkpoint=path)


@case('untrained, perhaps', "allow_untrained must be True or False, got 'False'")
def _(tmp_path):
    classifier(allow_untrained='False')


@case('a list of teachers for a loss', r"teacher=\['teacher'\], but there are teacher")
def _(tmp_path):
    classifier(dict(KD, teacher=['teacher']))


@case('a list of losses', 'losses must be a dict of dicts by name')
def _(tmp_path):
    Distiller(toy_classifier(), [KD], teacher=dict(config=toy_classifier()))


@case('a teacher that is a path', 'teachers must be a dict of dicts by name')
def _(tmp_path):
    Distiller(toy_classifier(), dict(loss_kd=KD), teacher='teacher.py')


@case('a module that is no name', 'None is no name of a module')
def _(tmp_path):
    classifier(dict(type='FitNetLoss', on=[None]))


@case('a student that is wrapped', 'the student is wrapped by torch.compile')
def _(tmp_path):
    student = torch.compile(MODELS.build(toy_classifier()), backend='eager')
    teacher = dict(config=toy_classifier(), allow_untrained=True)
    Distiller(student, dict(loss_kd=KD), teacher=teacher)


@case('a part that is wrapped', r'the student \(neck\) is wrapped by torch.compile')
def _(tmp_path):
    student = MODELS.build(toy_classifier())
    student.neck = torch.compile(student.neck, backend='eager')
    classifier(student=student)


@case('a size that is none', 'probe_size must be a number of pixels.*got -4')
def _(tmp_path):
    teacher = dict(config=toy_classifier(), allow_untrained=True)
    Distiller(toy_classifier(), dict(loss_kd=KD), teacher=teacher, probe_size=-4)


@case('a part that would be added twice', "as 'loss_near_kd'.*without 'loss'")
def _(tmp_path):
    classifier(dict(type='PartsLoss', on='logits'))


@case('a value that is never finite', 'the value of the loss is not finite on made-up')
def _(tmp_path):
    classifier(dict(type='BeyondLoss', on='logits'))


@case('a gradient that is never finite', 'the gradient of the loss is not finite on ma')
def _(tmp_path):
    classifier(dict(type='RootLoss', on='logits'))


@case('a need that nobody knows', "needs 'weather', but .* labels, soft_labels, index")
def _(tmp_path):
    classifier(dict(type='CuriousLoss', on='logits'))


@case('teacher of other classes, by count', 'has 10 columns and the teacher 7')
def _(tmp_path):
    classifier(config=toy_classifier(classes=7))


@case('teacher of other classes, by name', "class 1 is 'wolf' to it and 'dog'")
def _(tmp_path):
    names = [str(index) for index in range(10)]
    path = save(
        tmp_path / 'names.pth',
        dataset_meta=dict(classes=['cat', 'wolf', *names[2:]]),
    )
    model = classifier(checkpoint=path)
    visualizer = Visualizer.get_instance('wrong_inputs')
    visualizer.dataset_meta = dict(classes=['cat', 'dog', *names[2:]])
    try:
        step(model, classification_batch())
    finally:
        visualizer.dataset_meta = {}


@case('teacher of another task', r'needs a two-stage detector, but the teacher')
def _(tmp_path):
    detector(dict(KD, on='roi.logits'), config=toy_classifier())


@case('classifier pairing on a detector', "on='logits' needs a classifier")
def _(tmp_path):
    detector(KD)


@case('unknown on', "on='rois.logits' is no pairing .*did you mean 'roi.logits'")
def _(tmp_path):
    detector(dict(KD, on='rois.logits'))


@case('unknown pairing option', "on='roi.logits': .*unexpected keyword argument 'fg'")
def _(tmp_path):
    detector(dict(KD, on=dict(pairing='roi.logits', fg=True)))


@case('no on', "missing a required argument: 'on'")
def _(tmp_path):
    classifier(dict(type='KDLoss'))


@case('unknown loss', "unknown loss 'LuminetLoss'.*did you mean LumiNetLoss")
def _(tmp_path):
    classifier(dict(KD, type='LuminetLoss'))


@case('a loss of another package', 'is no distillation loss')
def _(tmp_path):
    classifier(dict(KD, type='mmpretrain.CrossEntropyLoss'))


@case('unknown argument of a loss', "unexpected keyword argument 'temperature'.*tau")
def _(tmp_path):
    classifier(dict(KD, temperature=4))


@case(
    'a loss whose name hides the total', "'loss' must contain .* not be 'loss' itself"
)
def _(tmp_path):
    classifier(name='loss')


@case('a loss whose name hides it from the sum', "'kd' must contain 'loss'")
def _(tmp_path):
    classifier(name='kd')


@case("a name that is the student's", "has a loss named 'loss_student' already")
def _(tmp_path):
    step(classifier(name='loss_student'), classification_batch())


@case('unknown module of the student', "no module 'backbone.layer5'.*backbone.layer")
def _(tmp_path):
    classifier(dict(type='FitNetLoss', on='backbone.layer5'))


@case('unknown module of the teacher', "the teacher .* has no module 'nek'.*neck")
def _(tmp_path):
    on = dict(student='neck', teacher='nek')
    classifier(dict(type='FitNetLoss', on=on))


@case('channel mismatch without adapter', 'differ in channels')
def _(tmp_path):
    on = dict(student='backbone.layer1', adapter=None)
    loss = dict(type='FitNetLoss', on=on)
    classifier(loss, config=toy_classifier(width=12))


@case('unknown adapter', "unknown adapter 'LinearAdaptor'.*mean LinearAdapter")
def _(tmp_path):
    on = dict(student='neck', adapter=dict(type='LinearAdaptor'))
    classifier(dict(type='FitNetLoss', on=on))


@case('an adapter beside the type', r'adapter=.* modules .*on=dict\(student=.*adapter=')
def _(tmp_path):
    classifier(dict(type='FitNetLoss', on='neck', adapter=dict(type='LinearAdapter')))


@case(
    'resize beside the type', r"resize='teacher' belongs .*on=dict\(student=.*resize="
)
def _(tmp_path):
    classifier(dict(type='PKDLoss', on='backbone.layer4', resize='teacher'))


@case('a prefix of no checkpoint', r"prefix='teacher\.' .* give checkpoint=PATH or URL")
def _(tmp_path):
    classifier(prefix='teacher.')


@case('spatial mismatch', r'layer1 and backbone\.layer2\).*differ in size')
def _(tmp_path):
    on = dict(student='backbone.layer1', teacher='backbone.layer2')
    classifier(dict(type='FitNetLoss', on=on))


@case('maps of images that are padded for one', r'multiples of 24 .*pad_size_divisor')
def _(tmp_path):
    config = toy_classifier()
    config.data_preprocessor.pad_size_divisor = 24
    loss = dict(type='FitNetLoss', on='backbone.layer4')
    Distiller(
        toy_classifier(),
        dict(loss_map=loss),
        teacher=dict(config=config, allow_untrained=True),
        probe_size=32,
    )


@case('another number of levels', 'puts out 4 tensors and the teacher 5')
def _(tmp_path):
    on = dict(student='backbone', teacher='neck')
    detector(dict(type='FitNetLoss', on=on))


@case('tap of a module overwritten in place', "'backbone.bn1' was changed in place")
def _(tmp_path):
    classifier(dict(type='FitNetLoss', on='backbone.bn1'))


@case('labels for a feature loss', 'DKDLoss needs labels, which come with .*logits')
def _(tmp_path):
    classifier(dict(type='DKDLoss', on='neck'))


@case('a loss that is no number', r'must be one number, but compare gave shape \(2,\)')
def _(tmp_path):
    classifier(dict(type='RowsLoss', on='logits'))


@case('custom_imports of no module', "imported: No module named 'my_los'; check the")
def _(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("custom_imports = dict(imports=['my_los'])")
    load_config(str(config))


@case('a logit loss on maps', r'loss_kd \(KDLoss on backbone\.layer4\).*rows \(N, C\)')
def _(tmp_path):
    classifier(dict(type='KDLoss', on='backbone.layer4'))


@case('a feature loss on logits', r'loss_kd \(ATLoss on logits: head\).*maps \(N, C')
def _(tmp_path):
    classifier(dict(type='ATLoss', on='logits'))


@case('pooled features of a detector', r'PKTLoss on neck.*rows \(N, C\), got shape')
def _(tmp_path):
    detector(dict(type='PKTLoss', on='neck'))


@case('an adapter that ends elsewhere', r'ConvAdapter gives \(2, 10, 4, 4\).*\(2, 10\)')
def _(tmp_path):
    on = dict(pairing='logits', modules=['backbone'], adapter=dict(type='ConvAdapter'))
    classifier(dict(type='OFALoss', on=on))


@case('stages without a classifier of their own', 'has 64 columns and the teacher 10')
def _(tmp_path):
    on = dict(pairing='logits', modules=['backbone'])
    classifier(dict(type='OFALoss', on=on))


@case('a wrapped loss of maps', r'LSKDLoss: ATLoss compares maps .*a loss of rows')
def _(tmp_path):
    classifier(dict(type='LSKDLoss', on='logits', loss=dict(type='ATLoss')))


@case('CRD that was not told the labels', 'got no labels .*TrainingLabelsHook')
def _(tmp_path):
    loss = dict(type='CRDLoss', on='neck', num_samples=20)
    step(classifier(loss), classification_batch())


@case('samples without a number', 'loss_kd needs to know which image is which')
def _(tmp_path):
    model = classifier(dict(type='CRDLoss', on='neck', num_samples=20))
    model.terms[0].loss.see_training_set(torch.arange(20) % 10)
    batch = classification_batch()
    for sample in batch['data_samples']:
        sample.pop('sample_idx')
    step(model, batch)


@case('more samples than a memory holds', 'set num_samples to the size')
def _(tmp_path):
    model = classifier(dict(type='CRDLoss', on='neck', num_samples=20))
    model.terms[0].loss.see_training_set(torch.arange(21) % 10)


@case('SRRL without a classifier', 'has no head .* SRRL needs a classifier as teacher')
def _(tmp_path):
    detector(dict(type='SRRLLoss', on='roi_head.bbox_head.fc_cls'))


@case('labels of a background that is left out', "add select='fg'")
def _(tmp_path):
    on = dict(pairing='roi.logits', background=False)
    detector(dict(type='DKDLoss', on=on))


@case('a batch of one with LumiNet', 'LumiNetLoss compares the samples of a batch')
def _(tmp_path):
    cfg = load_config(str(ROOT / 'configs/imagenet/luminet_r34_r18.py'))
    cfg.train_dataloader.batch_size = 1
    check_batch_size(cfg)


@case('a loss that is not finite', 'loss_student is not finite; lower the learning')
def _(tmp_path):
    model = classifier()
    model.student.head.fc.weight.data.fill_(float('nan'))
    step(model, classification_batch())


@case("a teacher's answers that are not finite", 'loss_kd .*: the teacher put out')
def _(tmp_path):
    model = classifier()
    model.teachers['teacher'].model.head.fc.weight.data.fill_(float('nan'))
    step(model, classification_batch())


@case('two ways to name teachers', 'give teacher=.*got both')
def _(tmp_path):
    Distiller(toy_classifier(), dict(loss_kd=KD), teacher={}, teachers={})


@case('which of two teachers', 'teacher=None, but there are a, b')
def _(tmp_path):
    spec = dict(config=toy_classifier(), allow_untrained=True)
    Distiller(toy_classifier(), dict(loss_kd=KD), teachers=dict(a=spec, b=spec))


@case(
    "another student's checkpoint", 'none of the .* tensors .* belongs to the student'
)
def _(tmp_path):
    classifier().load_state_dict(dict(architecture=torch.zeros(1)))


@case('config file is not there', 'config no_such.py cannot be read')
def _(tmp_path):
    load_config('no_such.py')


@case('config of a package that is not installed', 'mmpose is not installed')
def _(tmp_path):
    classifier(config='mmpose::body_2d_keypoint/topdown.py')


@case('data root is not there', "data root 'data/nowhere' of CocoDataset is no folder")
def _(tmp_path):
    cfg = load_config('mmdet::_base_/datasets/coco_detection.py')
    cfg.train_dataloader.dataset.data_root = 'data/nowhere'
    check_data(cfg)


@case('annotation file is not there', "annotation file 'annotations/instances_train")
def _(tmp_path):
    cfg = load_config('mmdet::_base_/datasets/coco_detection.py')
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    check_data(cfg)


@case(
    'annotation file of the evaluator', 'val_evaluator: the annotation file .*not there'
)
def _(tmp_path):
    cfg = load_config('mmdet::_base_/datasets/coco_detection.py')
    for folder in ('train2017', 'val2017', 'annotations'):
        (tmp_path / folder).mkdir()
    (tmp_path / 'annotations/instances_val2017.json').touch()
    cfg.val_dataloader.dataset.data_root = str(tmp_path)
    check_data(cfg, ['val_dataloader'])


@pytest.mark.parametrize('title', CASES)
def test_table(title, tmp_path):
    function, sentence = CASES[title]
    with pytest.raises(MMKDError) as caught:
        function(tmp_path)
    message = str(caught.value)
    assert re.search(sentence, message, re.DOTALL), message
    assert '\n' not in message and message[-1] in '.?', message
    print(f'\n| {title} | {message.replace(str(tmp_path), "...")} |')


@pytest.mark.parametrize('on', ['neck', 'backbone.layer2'])
@pytest.mark.parametrize('classes', [7, 10])
def test_a_teacher_of_other_classes_gives_features(tmp_path, on, classes):
    names = [str(index) for index in range(classes)]
    path = save(
        tmp_path / 'other.pth',
        toy_classifier(classes=classes),
        dataset_meta=dict(classes=[f'other {name}' for name in names]),
    )
    model = classifier(
        dict(type='FitNetLoss', on=on),
        config=toy_classifier(classes=classes),
        checkpoint=path,
    )
    visualizer = Visualizer.get_instance('wrong_inputs')
    visualizer.dataset_meta = dict(classes=[str(index) for index in range(10)])
    try:
        assert step(model, classification_batch())['loss_kd'] > 0
    finally:
        visualizer.dataset_meta = {}
