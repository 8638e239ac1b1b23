# From _base_/cells.py: the authors' values.
_base_ = ['_base_/resnet32x4_shufflenetv2.py', '_base_/mlkd.py']
data_preprocessor = dict(type='mmkd.WeakStrongPreprocessor')
train_cfg = dict(max_epochs=480)
optim_wrapper = dict(optimizer=dict(lr=0.01))
model = dict(student=_base_.student, teacher=_base_.teacher)
