mobilenetv2 = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARMobileNetV2', widen_factor=0.5),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=1280,
        num_classes=100,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
mobilenetv2_stages = [
    'backbone.layer1',
    'backbone.layer2',
    'backbone.layer3',
    'backbone.layer4',
]
mobilenetv2_preacts = [
    'backbone.layer1.preact',
    'backbone.layer2.preact',
    'backbone.layer3.preact',
    'backbone.layer4.preact',
]
