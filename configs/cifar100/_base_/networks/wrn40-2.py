wrn40_2 = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARWideResNet', depth=40, widen_factor=2),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=128,
        num_classes=100,
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
wrn40_2_stages = ['backbone.layer1', 'backbone.layer2', 'backbone.layer3.sum']
wrn40_2_preacts = [
    'backbone.layer2.0.bn1',
    'backbone.layer3.0.bn1',
    'backbone.layer3.preact',
]
wrn40_2_norms = ['backbone.layer2.0.bn1', 'backbone.layer3.0.bn1', 'backbone.layer3.bn']
