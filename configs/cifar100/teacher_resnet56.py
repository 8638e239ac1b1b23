_base_ = '_base_/resnet56_resnet20.py'
model = _base_.teacher.config.model
