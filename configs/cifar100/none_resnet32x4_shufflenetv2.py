_base_ = '_base_/resnet32x4_shufflenetv2.py'
model = _base_.student
