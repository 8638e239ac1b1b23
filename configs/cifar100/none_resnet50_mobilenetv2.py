_base_ = '_base_/resnet50_mobilenetv2.py'
model = _base_.student
