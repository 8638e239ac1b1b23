shufflenetv1 = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARShuffleNetV1'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=960,
        num_classes=100,
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
shufflenetv1_stages = ['backbone.layer1', 'backbone.layer2', 'backbone.layer3']
shufflenetv1_preacts = [
    'backbone.layer1.preact',
    'backbone.layer2.preact',
    'backbone.layer3.preact',
]
