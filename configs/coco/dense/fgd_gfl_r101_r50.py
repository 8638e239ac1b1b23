# FGD, GFL: ResNet-101-FPN teaches ResNet-50-FPN.
# The authors' values.
_base_ = './none_gfl_r101_r50.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    inherit=['neck', 'bbox_head'],
    losses=dict(
        loss_fgd=dict(
            type='FGDLoss',
            on=[f'neck.fpn_convs.{i}.conv' for i in range(5)],
            tau=0.5,
            alpha=1e-3,
            beta=5e-4,
            gamma=5e-4,
            lambda_=5e-6,
        )
    ),
)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.42})]
