# SD-DKD on cells of the RoIs that hold an object, Faster R-CNN: ResNet-101-FPN teaches
# ResNet-18-FPN. SDD is published for classifiers, so this form is (mmkd). DKD has
# mdistiller's values.
_base_ = './none_frcnn.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_sddkd=dict(
            type='SDDLoss',
            on=dict(pairing='roi.cells', scales=[1, 2], select='fg'),
            loss=dict(type='DKDLoss', alpha=1.0, beta=0.25, tau=1.0),
            beta=2.0,
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.39})]
