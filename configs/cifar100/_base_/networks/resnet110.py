resnet110 = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARResNet', depth=110),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=64,
        num_classes=100,
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
resnet110_stages = ['backbone.layer1', 'backbone.layer2', 'backbone.layer3']
resnet110_preacts = [
    'backbone.layer1.preact',
    'backbone.layer2.preact',
    'backbone.layer3.preact',
]
resnet110_norms = [
    'backbone.layer1.17.bn2',
    'backbone.layer2.17.bn2',
    'backbone.layer3.17.bn2',
]
