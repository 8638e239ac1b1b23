resnet50 = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARBottleneckResNet', depth=50),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=2048,
        num_classes=100,
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
resnet50_stages = [
    'backbone.layer1',
    'backbone.layer2',
    'backbone.layer3',
    'backbone.layer4',
]
resnet50_preacts = [
    'backbone.layer1.preact',
    'backbone.layer2.preact',
    'backbone.layer3.preact',
    'backbone.layer4.preact',
]
resnet50_norms = [
    'backbone.layer1.2.bn3',
    'backbone.layer2.3.bn3',
    'backbone.layer3.5.bn3',
    'backbone.layer4.2.bn3',
]
