# Probabilistic knowledge transfer, with RepDistiller's and mdistiller's values.
method = dict(
    name='PKT', paper='https://arxiv.org/abs/1803.10837', checked="the authors' figures"
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(loss_pkt=dict(type='PKTLoss', on='neck', weight=30000.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
