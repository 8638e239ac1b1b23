# PKD: Mask R-CNN, Swin-S, teaches RetinaNet, ResNet-50-FPN. The authors' values, in
# mmrazor. The teacher's levels are of stride 4 to 32, the student's of 8 to 64: they
# are compared in this order, and the student's maps are enlarged, as the authors do.
_base_ = './none_mask_rcnn_swin_s_retinanet_r50.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_pkd=dict(
            type='PKDLoss',
            on=dict(
                student=[f'neck.fpn_convs.{i}' for i in range(4)],
                resize='student',
            ),
            weight=6.0,
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.46})]
