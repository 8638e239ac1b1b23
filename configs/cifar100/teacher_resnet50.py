_base_ = '_base_/resnet50_mobilenetv2.py'
optim_wrapper = dict(optimizer=dict(lr=0.05))
model = _base_.teacher.config.model
