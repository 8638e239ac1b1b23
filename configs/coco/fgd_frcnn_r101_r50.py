# FGD, Faster R-CNN: ResNet-101-FPN teaches ResNet-50-FPN.
# The authors' file for this pair, of which they publish no figure.
_base_ = './none_frcnn_r101_r50.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    inherit=['neck', 'rpn_head', 'roi_head'],
    losses=dict(
        loss_fgd=dict(
            type='FGDLoss',
            on=[f'neck.fpn_convs.{i}.conv' for i in range(4)],
            tau=0.5,
            alpha=5e-5,
            beta=2.5e-5,
            gamma=5e-5,
            lambda_=5e-7,
        )
    ),
)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.38})]
