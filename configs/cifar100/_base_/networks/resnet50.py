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
