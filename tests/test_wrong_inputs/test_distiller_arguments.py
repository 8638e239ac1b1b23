"""Arguments of a Distiller, its teacher and its losses, over a right config."""

import pytest

LOSS = 'model.losses.loss_kd'
#: What is wrong: words of the sentence, and lines of the config.
CASES = {
    'losses, a list': ('losses', "model = dict(losses=[dict(type='KDLoss')])"),
    'losses, a number': ('losses', 'model = dict(losses=3)'),
    'losses, None': ('losses', 'model = dict(losses=None)'),
    'a loss that is text': (
        'losses',
        "model = dict(losses=dict(_delete_=True, x='KDLoss'))",
    ),
    'a loss that is None': (
        'losses',
        'model = dict(losses=dict(_delete_=True, loss_x=None))',
    ),
    'a loss without type': (
        'loss_x.*type',
        "model = dict(losses=dict(_delete_=True, loss_x=dict(on='logits')))",
    ),
    'a loss without on': (
        'loss_x.*on',
        "model = dict(losses=dict(_delete_=True, loss_x=dict(type='KDLoss')))",
    ),
    'a name without loss': (
        'kd_term.*loss',
        'model = dict(losses=dict(_delete_=True, '
        "kd_term=dict(type='KDLoss', on='logits')))",
    ),
    'type in small letters': ('loss_kd.*KDLoss', "{loss}(type='kdloss')"),
    'type of a typo': ('loss_kd.*LumiNetLoss', "{loss}(type='LuminetLoss')"),
    'type of a network': ('loss_kd', "{loss}(type='mmpretrain.ResNet')"),
    'type, a number': ('loss_kd', '{loss}(type=3)'),
    'type, None': ('loss_kd', '{loss}(type=None)'),
    'on, None': ('loss_kd.*on', '{loss}(on=None)'),
    'on, a number': ('loss_kd.*on', '{loss}(on=3)'),
    'on, an empty list': ('loss_kd.*on', '{loss}(on=[])'),
    'on, empty text': ('loss_kd', "{loss}(on='')"),
    'on, an empty dict': ('loss_kd.*on', '{loss}(on=dict(_delete_=True))'),
    'on, a pairing of a typo': ('loss_kd.*logit', "{loss}(on='logitz')"),
    'on, a module that is none': ('loss_kd.*layer9', "{loss}(on='backbone.layer9')"),
    'on, RoIs of a classifier': ('loss_kd.*roi', "{loss}(on='roi.logits')"),
    'on, an unknown key': (
        'loss_kd.*where',
        "{loss}(on=dict(_delete_=True, pairing='logits', where=1))",
    ),
    'on, True': ('loss_kd.*on', '{loss}(on=True)'),
    'weight, text': ('loss_kd.*weight', "{loss}(weight='1.0')"),
    'weight, a list': ('loss_kd.*weight', '{loss}(weight=[1.0])'),
    'weight, None': ('loss_kd.*weight', '{loss}(weight=None)'),
    'weight, True': ('loss_kd.*weight', '{loss}(weight=True)'),
    'weight, nan': ('loss_kd.*weight', "{loss}(weight=float('nan'))"),
    'weight, inf': ('loss_kd.*weight', "{loss}(weight=float('inf'))"),
    'weight, negative': ('loss_kd.*weight', '{loss}(weight=-1.0)'),
    'weight, of float64 alone': ('loss_kd.*weight', '{loss}(weight=1e40)'),
    'warm-up, nan': (
        'loss_kd.*warmup',
        "{loss}(weight=dict(warmup_iters=float('nan')))",
    ),
    'warm-up, text': ('loss_kd.*warmup', "{loss}(weight=dict(warmup_iters='many'))"),
    'warm-up, negative': ('loss_kd.*warmup', '{loss}(weight=dict(warmup_iters=-5))'),
    'warm-up of both kinds': (
        'loss_kd.*warmup',
        '{loss}(weight=dict(warmup_iters=5, warmup_epochs=5))',
    ),
    'a shape that is none': ('loss_kd.*shape', "{loss}(weight=dict(shape='cubic'))"),
    'a weight of an unknown key': ('loss_kd.*warm', '{loss}(weight=dict(warm=5))'),
    'tau, 0': ('loss_kd.*tau', '{loss}(tau=0)'),
    'tau, negative': ('loss_kd.*tau', '{loss}(tau=-4.0)'),
    'tau, text': ('loss_kd.*tau', "{loss}(tau='4')"),
    'tau, None': ('loss_kd.*tau', '{loss}(tau=None)'),
    'tau, nan': ('loss_kd.*tau', "{loss}(tau=float('nan'))"),
    'tau, inf': ('loss_kd.*tau', "{loss}(tau=float('inf'))"),
    'tau, a list': ('loss_kd.*tau', '{loss}(tau=[4.0])'),
    'an argument of a typo': ('loss_kd.*temperature', '{loss}(temperature=4.0)'),
    "DKD's alpha, text": ('loss_kd.*alpha', "{loss}(type='DKDLoss', alpha='1')"),
    "DKD's beta, nan": ('loss_kd.*beta', "{loss}(type='DKDLoss', beta=float('nan'))"),
    "NKD's gamma, None": ('loss_kd.*gamma', "{loss}(type='NKDLoss', gamma=None)"),
    "LumiNet's alpha, a list": (
        'loss_kd.*alpha',
        "{loss}(type='LumiNetLoss', alpha=[1])",
    ),
    "DIST's beta, text": ('loss_kd.*beta', "{loss}(type='DISTLoss', beta='2')"),
    "CRD's momentum, 2": (
        'loss_kd.*momentum',
        "{loss}(type='CRDLoss', on='logits', num_samples=12, momentum=2.0)",
    ),
    "CRD's samples, text": (
        'loss_kd.*num_samples',
        "{loss}(type='CRDLoss', on='logits', num_samples='all')",
    ),
    "CRD's samples, 0": (
        'loss_kd.*num_samples',
        "{loss}(type='CRDLoss', on='logits', num_samples=0)",
    ),
    'LSKD around text': ('loss_kd', "{loss}(type='LSKDLoss', loss='KDLoss')"),
    'LSKD around maps': (
        'loss_kd.*ATLoss',
        "{loss}(type='LSKDLoss', loss=dict(type='ATLoss'))",
    ),
    'SDD of logits': (
        'loss_kd.*cells',
        "{loss}(type='SDDLoss', loss=dict(type='KDLoss'))",
    ),
    'AT of logits': ('loss_kd', "{loss}(type='ATLoss')"),
    'a teacher that is none': ("loss_kd.*teacher.*'other'", "{loss}(teacher='other')"),
    'a teacher by number': ('loss_kd.*teacher', '{loss}(teacher=0)'),
    'an adapter that is none': (
        'loss_kd.*adapter',
        "{loss}(type='FitNetLoss', on='backbone', adapter='NoAdapter')",
    ),
    'an adapter for logits': ('loss_kd.*adapter', "{loss}(adapter='conv')"),
    'teacher, a path': ('teacher', "model = dict(teacher='teacher.py')"),
    'teacher, None': ('teacher', 'model = dict(teacher=None)'),
    'teacher, a list': ('teacher', 'model = dict(teacher=[1])'),
    'teacher, empty': (
        'teacher.*config',
        'model = dict(teacher=dict(_delete_=True))',
    ),
    'teacher without a checkpoint': (
        'teacher.*checkpoint',
        'model = dict(teacher=dict(checkpoint=None))',
    ),
    'teacher and teachers': (
        'teacher.*teachers',
        'model = dict(teachers=dict(a=_base_.model.teacher))',
    ),
    'an argument of the teacher': (
        'teacher.*ckpt',
        "model = dict(teacher=dict(ckpt='x'))",
    ),
    'allow_untrained, text': (
        'allow_untrained',
        "model = dict(teacher=dict(allow_untrained='yes'))",
    ),
    'inference, a number': ('inference', 'model = dict(teacher=dict(inference=3))'),
    'inference of a typo': (
        'inference.*precis',
        "model = dict(teacher=dict(inference=dict(precis='bf16')))",
    ),
    'input_size, text': ('input_size', "model = dict(teacher=dict(input_size='big'))"),
    'input_size, 0': ('input_size', 'model = dict(teacher=dict(input_size=0))'),
    'probe_size, text': ('probe_size', "model = dict(probe_size='32')"),
    'probe_size, 0': ('probe_size', 'model = dict(probe_size=0)'),
    'probe_size, three numbers': ('probe_size', 'model = dict(probe_size=(3, 32, 32))'),
    'probe_size, a fraction': ('probe_size', 'model = dict(probe_size=32.5)'),
    'student, a path': ('student', "model = dict(student='student.py')"),
    'student, None': ('student', 'model = dict(student=None)'),
    'student, a list': ('student', 'model = dict(student=[1])'),
    'a student without type': ('student', 'model = dict(student=dict(_delete_=True))'),
    'a student of no type': (
        'student.*ImageClasifier',
        "model = dict(student=dict(type='ImageClasifier'))",
    ),
    'a backbone of no type': (
        'student.*ResNett',
        "model = dict(student=dict(backbone=dict(type='ResNett')))",
    ),
    'a backbone of no depth': (
        'student.*19',
        'model = dict(student=dict(backbone=dict(depth=19)))',
    ),
    'a backbone of torchvision': (
        'student.*resnet18',
        "model = dict(student=dict(backbone=dict(_delete_=True, type='resnet18')))",
    ),
    'an argument of the backbone': (
        'student.*depht',
        'model = dict(student=dict(backbone=dict(depht=18)))',
    ),
    'a head of other channels': (
        'student',
        'model = dict(student=dict(head=dict(in_channels=7)))',
    ),
    'a head of no class': (
        'student',
        'model = dict(student=dict(head=dict(num_classes=0)))',
    ),
    'a head of other classes': (
        'loss_kd.*5.*3|loss_kd.*3.*5|class.*5',
        'model = dict(student=dict(head=dict(num_classes=5)))',
    ),
    "a teacher's config that is not there": (
        'teacher.*no_such',
        "model = dict(teacher=dict(config='no_such.py'))",
    ),
    "a teacher's config of no model": (
        'teacher.*model',
        'model = dict(teacher=dict(config=dict(_delete_=True, a=1)))',
    ),
    "a teacher's config of no type": (
        'teacher.*resnet18',
        "model = dict(teacher=dict(config=dict(_delete_=True, type='resnet18')))",
    ),
    "a teacher's config, a number": ('teacher', 'model = dict(teacher=dict(config=3))'),
    'an unknown argument of the Distiller': (
        'looses',
        'model = dict(looses=dict())',
    ),
    'the data preprocessor, text': (
        'preprocessor',
        "model = dict(data_preprocessor='ClsDataPreprocessor')",
    ),
    'one class for DKD': (
        'loss_kd.*class',
        "{loss}(type='DKDLoss')\n"
        'model.update(student=dict(head=dict(num_classes=1)))\n'
        'one = dict(_base_.model.student, head=dict(_base_.model.student.head,'
        ' num_classes=1))\n'
        'model.update(teacher=dict(_delete_=True, config=one, allow_untrained=True))',
    ),
    'a head of several labels': (
        'MultiLabel',
        'model = dict(student=dict(head=dict(_delete_=True, '
        "type='MultiLabelLinearClsHead', num_classes=3, in_channels=64)))",
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_one_sentence_before_training(case, train):
    words, text = CASES[case]
    # `{loss}(...)`: arguments of the one loss that is there.
    if text.startswith('{loss}('):
        first, *rest = text.split('\n')
        inside = first[len('{loss}') :]
        text = '\n'.join([f'model = dict(losses=dict(loss_kd=dict{inside}))', *rest])
    train(words, 'classifier_kd.py', text)
