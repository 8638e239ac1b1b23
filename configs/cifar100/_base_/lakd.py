# LAKD, https://arxiv.org/abs/2408.11478: no code and no values are published, so form
# and values are (mmkd), chosen on held-out training images in short runs. The
# cross-entropy has the weight alpha, the attention 1 - alpha.
method = dict(
    name='LAKD (mmkd)',
    paper='https://arxiv.org/abs/2408.11478',
    checked='the formula',
)
model = dict(
    type='mmkd.Distiller',
    student=dict(head=dict(loss=dict(loss_weight=0.9))),
    losses=dict(
        loss_lakd=dict(type='LAKDLoss', attention_weight=0.1, local_weight=10.0)
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
