# Relational knowledge distillation, with RepDistiller's and mdistiller's values.
method = dict(
    name='RKD', paper='https://arxiv.org/abs/1904.05068', checked="the authors' figures"
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(
        loss_rkd=dict(
            type='RKDLoss', on='neck', distance_weight=25.0, angle_weight=50.0
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
