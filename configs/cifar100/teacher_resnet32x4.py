# From _base_/cells.py.
_base_ = '_base_/resnet32x4_resnet8x4.py'
optim_wrapper = dict(optimizer=dict(lr=0.05))
data_preprocessor = _base_.teacher.config.data_preprocessor
model = _base_.teacher.config.model
