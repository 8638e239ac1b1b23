# AEKT, https://arxiv.org/abs/2409.01679: its formula is not at hand, so form and values
# are (mmkd), the weights chosen on held-out training images in short runs.
method = dict(
    name='AEKT (mmkd)',
    paper='https://arxiv.org/abs/2409.01679',
    checked='the formula',
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(
        loss_aekt=dict(
            type='AEKTLoss',
            on='logits',
            tau=4.0,
            explicit_weight=0.1,
            implicit_weight=1.0,
            weight=dict(value=1.0, warmup_epochs=20),
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
