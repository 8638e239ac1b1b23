# SRRL. The authors' weights for CIFAR-100 are lost
# (https://github.com/jingyang2017/KD_SRRL/issues/3): these are (mmkd), as on
# ImageNet.
method = dict(
    name='SRRL',
    paper='https://openreview.net/forum?id=ZzwDy_wiWv',
    checked='the formula',
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(
        loss_srrl=dict(
            type='SRRLLoss',
            feature_weight=1.0,
            regression_weight=1.0,
            on=dict(
                student='backbone',
                teacher='backbone',
                adapter=dict(type='ConvNormAdapter', relu=True),
            ),
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
