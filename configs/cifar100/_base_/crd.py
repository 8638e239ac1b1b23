# CRD, with the authors' values.
method = dict(
    name='CRD', paper='https://arxiv.org/abs/1910.10699', checked='the formula'
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(
        loss_crd=dict(
            type='CRDLoss',
            on='neck',
            num_samples=50000,
            feat_dim=128,
            negatives=16384,
            tau=0.07,
            momentum=0.5,
            weight=0.8,
        )
    ),
)
custom_hooks = [
    dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0}),
    dict(type='mmkd.TrainingLabelsHook'),
]
