resnet8x4 = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARResNet', depth=8, widths=(32, 64, 128, 256)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=256,
        num_classes=100,
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
resnet8x4_stages = ['backbone.layer1', 'backbone.layer2', 'backbone.layer3']
resnet8x4_preacts = [
    'backbone.layer1.preact',
    'backbone.layer2.preact',
    'backbone.layer3.preact',
]
