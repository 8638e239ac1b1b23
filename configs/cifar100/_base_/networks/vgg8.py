vgg8 = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARVGG', depth=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=512,
        num_classes=100,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
vgg8_stages = [
    'backbone.layer2',
    'backbone.layer3',
    'backbone.layer4',
    'backbone.layer5',
]
vgg8_preacts = [
    'backbone.layer2.preact',
    'backbone.layer3.preact',
    'backbone.layer4.preact',
    'backbone.layer5.preact',
]
