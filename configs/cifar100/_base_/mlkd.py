# Multi-level logit distillation, with the authors' values: a weak and a strong view
# of each image, 0.1 cross-entropy of each (their mean weighs 0.2 here).
method = dict(
    name='MLKD',
    paper='https://openaccess.thecvf.com/content/CVPR2023/html/Jin_Multi-Level_Logit_Distillation_CVPR_2023_paper.html',
    checked='the formula',
)
model = dict(
    type='mmkd.Distiller',
    student=dict(head=dict(loss=dict(loss_weight=0.2))),
    losses=dict(loss_mlkd=dict(type='MLKDLoss', on='logits', views=2, weight=0.9)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
