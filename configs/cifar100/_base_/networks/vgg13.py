vgg13 = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARVGG', depth=13),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=512,
        num_classes=100,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
