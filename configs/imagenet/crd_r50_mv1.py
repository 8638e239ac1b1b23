# CRD: ResNet-50 teaches MobileNetV1; mdistiller's values.
_base_ = './none_r50_mv1.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(
        loss_crd=dict(
            type='CRDLoss',
            on='neck',
            num_samples=1281167,
            feat_dim=128,
            negatives=16384,
            tau=0.07,
            momentum=0.5,
            weight=0.8,
        )
    ),
)
custom_hooks = [
    dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 74.0}),
    dict(type='mmkd.TrainingLabelsHook'),
]
