# A wider network, which teaches.
_base_ = './student.py'
model = dict(width=32)
