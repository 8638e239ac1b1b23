resnet56 = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARResNet', depth=56),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=64,
        num_classes=100,
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
resnet56_stages = ['backbone.layer1', 'backbone.layer2', 'backbone.layer3']
resnet56_preacts = [
    'backbone.layer1.preact',
    'backbone.layer2.preact',
    'backbone.layer3.preact',
]
resnet56_norms = [
    'backbone.layer1.8.bn2',
    'backbone.layer2.8.bn2',
    'backbone.layer3.8.bn2',
]
