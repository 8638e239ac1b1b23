_base_ = '_base_/vgg13_vgg8.py'
data_preprocessor = _base_.teacher.config.data_preprocessor
model = _base_.teacher.config.model
