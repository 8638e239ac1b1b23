# YOLOX-m: the student of *_yolox_l_m.py alone.
_base_ = 'mmdet::yolox/yolox_m_8xb8-300e_coco.py'
# Who teaches in *_yolox_l_m.py.
teacher = dict(
    config='mmdet::yolox/yolox_l_8xb8-300e_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/yolox/'
    'yolox_l_8x8_300e_coco/'
    'yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23.pth',
)
published = dict(teacher=49.4, none=45.9, fgd=46.6)  # mmdet's, and the authors'
