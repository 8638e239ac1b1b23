# UniKD, https://arxiv.org/abs/2409.18565: DKD, and both sides' features as
# distributions of the logits. Values of a public fork taken for the authors',
# https://github.com/FabienCode/mdistiller. DKD's beta is the pair's.
method = dict(
    name='UniKD', paper='https://arxiv.org/abs/2409.18565', checked='the formula'
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(
        loss_dkd=dict(
            type='DKDLoss',
            on='logits',
            alpha=1.0,
            tau=4.0,
            weight=dict(value=1.0, warmup_epochs=20),
        ),
        loss_unikd=dict(type='UniKDLoss', constraint='sampled', tau=1.0, agreement=1.0),
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
