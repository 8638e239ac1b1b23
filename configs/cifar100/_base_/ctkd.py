# Curriculum temperature (global, with KD), with the authors' values.
method = dict(
    name='CTKD', paper='https://arxiv.org/abs/2211.16231', checked='the formula'
)
model = dict(
    type='mmkd.Distiller',
    student=dict(head=dict(loss=dict(loss_weight=0.1))),
    losses=dict(
        loss_ctkd=dict(
            type='CTKDLoss',
            on='logits',
            tau_min=1.0,
            tau_range=20.0,
            warmup_epochs=10,
            weight=0.9,
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
