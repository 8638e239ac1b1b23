# Weighted transformed teacher matching, with the paper's values (tables 8 and 9);
# gamma and the weight are the pair's.
method = dict(
    name='WTTM',
    paper='https://arxiv.org/abs/2402.11148',
    checked="the authors' figures",
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(loss_wttm=dict(type='WTTMLoss', on='logits')),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
