# FGD, RepPoints: ResNeXt-101-DCN-FPN teaches ResNet-50-FPN.
# The authors' values, before the neck's group norm.
_base_ = './none_reppoints_x101_r50.py'
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
            alpha=1.6e-3,
            beta=8e-4,
            gamma=8e-4,
            lambda_=8e-6,
        )
    ),
)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.42})]
