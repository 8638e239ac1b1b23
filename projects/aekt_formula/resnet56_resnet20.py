# The shipped cell, with the formula in this folder.
_base_ = '../../configs/cifar100/aekt_resnet56_resnet20.py'
custom_imports = dict(imports=['projects.aekt_formula.surprise_aekt_loss'])
model = dict(losses=dict(loss_aekt=dict(type='SurpriseAEKTLoss')))
