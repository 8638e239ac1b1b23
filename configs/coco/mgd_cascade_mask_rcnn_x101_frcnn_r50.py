# MGD: Cascade Mask R-CNN, ResNeXt-101-DCN-FPN, teaches Faster R-CNN, ResNet-50-FPN.
# The authors' values.
_base_ = './none_cascade_mask_rcnn_x101_frcnn_r50.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_mgd=dict(
            type='MGDLoss',
            on=[f'neck.fpn_convs.{i}.conv' for i in range(4)],
            alpha=5e-7,
            masked=0.45,
        )
    ),
)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.45})]
