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
