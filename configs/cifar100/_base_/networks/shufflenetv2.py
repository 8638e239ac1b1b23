shufflenetv2 = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARShuffleNetV2'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=1024,
        num_classes=100,
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
shufflenetv2_stages = ['backbone.layer1', 'backbone.layer2', 'backbone.layer3']
shufflenetv2_preacts = [
    'backbone.layer1.preact',
    'backbone.layer2.preact',
    'backbone.layer3.preact',
]
