# LumiNet, Faster R-CNN: ResNet-101-FPN teaches ResNet-18-FPN.
_base_ = './none_frcnn.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_luminet=dict(
            type='LumiNetLoss',
            on='roi.logits',
            tau=1.0,  # (mmkd)
            alpha=3.0,  # (mmkd)
            weight=dict(value=1.0, warmup_iters=1000),  # (mmkd)
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.39})]
