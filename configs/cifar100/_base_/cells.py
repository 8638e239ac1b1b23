# The table of the cells, METHOD_TEACHER_STUDENT.py, which tools/cifar_cells.py writes
# from it; how a pair or a method is added is in ../README.md.
#
# A method's lines are what its cells say beside their bases, METHOD.py and
# TEACHER_STUDENT.py here. Where they take {values}, every pair has its own, and source
# says where they come from; (mmkd) marks what nobody published for a pair. A line whose
# value is None is left out, so that what METHOD.py says stands.
pairs = [
    'resnet32x4_resnet8x4',
    'resnet56_resnet20',
    'resnet110_resnet32',
    'vgg13_vgg8',
    'wrn40-2_wrn16-2',
    'wrn40-2_wrn40-1',
    'resnet32x4_shufflenetv1',
    'resnet32x4_shufflenetv2',
    'resnet50_mobilenetv2',
    'vgg13_mobilenetv2',
    'wrn40-2_shufflenetv1',
]
unpublished = 'nothing is published for this pair (mmkd)'
by_rule = "scales by the paper's rule, no authors' run is listed (mmkd)"
other_family = "beta is DKD's own (mmkd)"
half_size = "the student's stage is half as large as the teacher's"
methods = dict(
    aekt=dict(),
    at=dict(lines=['losses = dict(loss_at=dict(on=_base_.stages))']),
    crd=dict(),
    ctkd=dict(),
    dist=dict(),
    dkd=dict(
        lines=['losses = dict(loss_dkd=dict(beta={beta}))'],
        source="the authors' configs",
        values={
            'resnet32x4_resnet8x4': dict(beta=8.0),
            'resnet56_resnet20': dict(beta=2.0),
            'resnet110_resnet32': dict(beta=2.0),
            'vgg13_vgg8': dict(beta=6.0),
            'wrn40-2_wrn16-2': dict(beta=6.0),
            'wrn40-2_wrn40-1': dict(beta=6.0),
            'resnet32x4_shufflenetv1': dict(beta=8.0),
            'resnet32x4_shufflenetv2': dict(beta=8.0),
            'resnet50_mobilenetv2': dict(beta=8.0),
            'vgg13_mobilenetv2': dict(beta=6.0),
            'wrn40-2_shufflenetv1': dict(beta=8.0),
        },
    ),
    fitnet=dict(
        lines=[
            'hint = dict('
            'student=_base_.stages.student[1], teacher=_base_.stages.teacher[1])',
            "adapter = dict(type='ConvNormAdapter', relu=True)",
            'adapter.update(upscale={upscale})',
            'losses = dict(loss_fitnet=dict(on=dict(hint, adapter=adapter)))',
        ],
        source='the stages are of one size',
        values={
            'resnet32x4_resnet8x4': dict(upscale=None),
            'resnet56_resnet20': dict(upscale=None),
            'resnet110_resnet32': dict(upscale=None),
            'vgg13_vgg8': dict(upscale=None),
            'wrn40-2_wrn16-2': dict(upscale=None),
            'wrn40-2_wrn40-1': dict(upscale=None),
            'resnet32x4_shufflenetv1': dict(upscale=2, source=half_size),
            'resnet32x4_shufflenetv2': dict(upscale=2, source=half_size),
            'resnet50_mobilenetv2': dict(upscale=2, source=half_size),
            'vgg13_mobilenetv2': dict(upscale=None),
            'wrn40-2_shufflenetv1': dict(upscale=2, source=half_size),
        },
    ),
    kd=dict(),
    lakd=dict(lines=['losses = dict(loss_lakd=dict(on=_base_.stages))']),
    lskd=dict(
        lines=[
            'losses = dict(loss_lskd=dict(loss=dict(tau={tau})))',
            "losses['loss_lskd']['weight'] = {weight}",
        ],
        source="the authors' values",
        values={
            'resnet32x4_resnet8x4': dict(tau=2.0, weight=None),
            'resnet56_resnet20': dict(tau=2.0, weight=None),
            'resnet110_resnet32': dict(tau=2.0, weight=None),
            'vgg13_vgg8': dict(tau=3.0, weight=None),
            'wrn40-2_wrn16-2': dict(tau=2.0, weight=None),
            'wrn40-2_wrn40-1': dict(tau=2.0, weight=None),
            'resnet32x4_shufflenetv1': dict(tau=2.0, weight=None, source=unpublished),
            'resnet32x4_shufflenetv2': dict(tau=2.0, weight=None),
            'resnet50_mobilenetv2': dict(tau=3.0, weight=1.0),
            'vgg13_mobilenetv2': dict(tau=3.0, weight=None),
            'wrn40-2_shufflenetv1': dict(tau=2.0, weight=None, source=unpublished),
        },
    ),
    luminet=dict(
        lines=[
            '_base_.student.head.loss.loss_weight = {cross_entropy}',
            'losses = dict(loss_luminet=dict(alpha={alpha}, tau={tau}))',
        ],
        source="the authors' values",
        values={
            'resnet32x4_resnet8x4': dict(alpha=33.0, tau=4.0, cross_entropy=2.0),
            'resnet56_resnet20': dict(
                alpha=35.0, tau=4.0, cross_entropy=None, source=unpublished
            ),
            'resnet110_resnet32': dict(
                alpha=35.0, tau=4.0, cross_entropy=None, source=unpublished
            ),
            'vgg13_vgg8': dict(alpha=70.0, tau=8.0, cross_entropy=None),
            'wrn40-2_wrn16-2': dict(
                alpha=75.0, tau=8.0, cross_entropy=None, source=unpublished
            ),
            'wrn40-2_wrn40-1': dict(alpha=75.0, tau=8.0, cross_entropy=None),
            'resnet32x4_shufflenetv1': dict(
                alpha=35.0, tau=4.0, cross_entropy=None, source=unpublished
            ),
            'resnet32x4_shufflenetv2': dict(
                alpha=35.0, tau=4.0, cross_entropy=None, source=unpublished
            ),
            'resnet50_mobilenetv2': dict(alpha=70.0, tau=8.0, cross_entropy=2.0),
            'vgg13_mobilenetv2': dict(alpha=70.0, tau=8.0, cross_entropy=2.0),
            'wrn40-2_shufflenetv1': dict(alpha=35.0, tau=4.0, cross_entropy=None),
        },
    ),
    mlkd=dict(
        lines=[
            "data_preprocessor = dict(type='mmkd.WeakStrongPreprocessor')",
            'train_cfg = dict(max_epochs={epochs})',
            'optim_wrapper = dict(optimizer=dict(lr={lr}))',
        ],
        source="the authors' values",
        values={
            'resnet32x4_resnet8x4': dict(epochs=240, lr=0.025),
            'resnet56_resnet20': dict(epochs=240, lr=0.025),
            'resnet110_resnet32': dict(epochs=240, lr=0.025),
            'vgg13_vgg8': dict(epochs=240, lr=0.025),
            'wrn40-2_wrn16-2': dict(epochs=240, lr=0.025),
            'wrn40-2_wrn40-1': dict(epochs=240, lr=0.025),
            'resnet32x4_shufflenetv1': dict(epochs=480, lr=0.01),
            'resnet32x4_shufflenetv2': dict(epochs=480, lr=0.01),
            'resnet50_mobilenetv2': dict(epochs=480, lr=0.0025),
            'vgg13_mobilenetv2': dict(epochs=480, lr=0.0025),
            'wrn40-2_shufflenetv1': dict(epochs=480, lr=0.0025),
        },
    ),
    nkd=dict(),
    nst=dict(lines=['losses = dict(loss_nst=dict(on=_base_.stages))']),
    ofa=dict(
        lines=[
            "adapter = dict(type='StageClassifierAdapter', width={width})",
            'on = dict('
            "pairing='logits', modules=_base_.stages.student, adapter=adapter)",
            'losses = dict(loss_ofa_stages=dict(on=on))',
        ],
        source="the wider of both networks' pooled features (mmkd)",
        values={
            'resnet32x4_resnet8x4': dict(width=256),
            'resnet56_resnet20': dict(width=64),
            'resnet110_resnet32': dict(width=64),
            'vgg13_vgg8': dict(width=512),
            'wrn40-2_wrn16-2': dict(width=128),
            'wrn40-2_wrn40-1': dict(width=128),
            'resnet32x4_shufflenetv1': dict(width=960),
            'resnet32x4_shufflenetv2': dict(width=1024),
            'resnet50_mobilenetv2': dict(width=2048),
            'vgg13_mobilenetv2': dict(width=1280),
            'wrn40-2_shufflenetv1': dict(width=960),
        },
    ),
    ofd=dict(
        lines=[
            "on = dict(_base_.preacts, adapter=dict(type='ConvNormAdapter'))",
            'losses = dict(loss_ofd=dict(on=on, norms=_base_.norms))',
        ]
    ),
    pkt=dict(),
    reviewkd=dict(
        lines=[
            'losses = dict('
            'loss_reviewkd=dict(on=_base_.review, weight=dict(value={weight})))'
        ],
        source="the authors' script",
        values={
            'resnet32x4_resnet8x4': dict(weight=5.0),
            'resnet56_resnet20': dict(weight=0.6),
            'resnet110_resnet32': dict(weight=1.0),
            'vgg13_vgg8': dict(weight=5.0, source=unpublished),
            'wrn40-2_wrn16-2': dict(weight=5.0),
            'wrn40-2_wrn40-1': dict(weight=5.0),
            'resnet32x4_shufflenetv1': dict(weight=5.0),
            'resnet32x4_shufflenetv2': dict(weight=8.0),
            'resnet50_mobilenetv2': dict(weight=5.0, source=unpublished),
            'vgg13_mobilenetv2': dict(weight=5.0, source=unpublished),
            'wrn40-2_shufflenetv1': dict(weight=5.0),
        },
    ),
    rkd=dict(),
    sddkd=dict(
        lines=[
            'on = dict(scales={scales})',
            'losses = dict(loss_sddkd=dict(on=on, loss=dict(beta={beta})))',
        ],
        source="the authors' values",
        values={
            'resnet32x4_resnet8x4': dict(scales=[1, 2], beta=8.0),
            'resnet56_resnet20': dict(scales=[1, 2], beta=2.0, source=by_rule),
            'resnet110_resnet32': dict(scales=[1, 2], beta=2.0, source=by_rule),
            'vgg13_vgg8': dict(scales=[1, 2], beta=6.0),
            'wrn40-2_wrn16-2': dict(scales=[1, 2], beta=6.0, source=by_rule),
            'wrn40-2_wrn40-1': dict(scales=[1, 2], beta=6.0, source=by_rule),
            'resnet32x4_shufflenetv1': dict(scales=[1, 2, 4], beta=8.0),
            'resnet32x4_shufflenetv2': dict(scales=[1, 2, 4], beta=8.0),
            'resnet50_mobilenetv2': dict(scales=[1, 2, 4], beta=8.0),
            'vgg13_mobilenetv2': dict(scales=[1, 2, 4], beta=6.0),
            'wrn40-2_shufflenetv1': dict(scales=[1, 2, 4], beta=8.0),
        },
    ),
    sdkd=dict(
        lines=[
            'on = dict(scales={scales})',
            'losses = dict(loss_sdkd=dict(on=on))',
        ],
        source="the authors' values",
        values={
            'resnet32x4_resnet8x4': dict(scales=[1, 2]),
            'resnet56_resnet20': dict(scales=[1, 2], source=by_rule),
            'resnet110_resnet32': dict(scales=[1, 2], source=by_rule),
            'vgg13_vgg8': dict(scales=[1, 2]),
            'wrn40-2_wrn16-2': dict(scales=[1, 2], source=by_rule),
            'wrn40-2_wrn40-1': dict(scales=[1, 2], source=by_rule),
            'resnet32x4_shufflenetv1': dict(scales=[1, 2, 4]),
            'resnet32x4_shufflenetv2': dict(scales=[1, 2, 4]),
            'resnet50_mobilenetv2': dict(scales=[1, 2, 4]),
            'vgg13_mobilenetv2': dict(scales=[1, 2, 4]),
            'wrn40-2_shufflenetv1': dict(scales=[1, 2, 4]),
        },
    ),
    sp=dict(
        lines=[
            'on = dict('
            'student=_base_.stages.student[-1], teacher=_base_.stages.teacher[-1])',
            'losses = dict(loss_sp=dict(on=on))',
        ]
    ),
    srrl=dict(),
    unikd=dict(
        lines=[
            "levels = [*_base_.review.student, 'head']",
            "on = dict(student=levels, teacher=[_base_.preacts.teacher[0], 'head'])",
            'losses = dict(loss_dkd=dict(beta={beta}), loss_unikd=dict(on=on))',
        ],
        source="a public fork's values, taken for the authors'",
        values={
            'resnet32x4_resnet8x4': dict(beta=8.0),
            'resnet56_resnet20': dict(beta=2.0),
            'resnet110_resnet32': dict(beta=2.0),
            'vgg13_vgg8': dict(beta=6.0),
            'wrn40-2_wrn16-2': dict(beta=6.0),
            'wrn40-2_wrn40-1': dict(beta=6.0),
            'resnet32x4_shufflenetv1': dict(beta=8.0, source=other_family),
            'resnet32x4_shufflenetv2': dict(beta=8.0, source=other_family),
            'resnet50_mobilenetv2': dict(beta=8.0, source=other_family),
            'vgg13_mobilenetv2': dict(beta=6.0, source=other_family),
            'wrn40-2_shufflenetv1': dict(beta=8.0, source=other_family),
        },
    ),
    wsld=dict(),
    wttm=dict(
        lines=['losses = dict(loss_wttm=dict(gamma={gamma}, weight={weight}))'],
        source="the paper's tables 8 and 9",
        values={
            'resnet32x4_resnet8x4': dict(gamma=0.1, weight=3.0),
            'resnet56_resnet20': dict(gamma=0.3, weight=1.5),
            'resnet110_resnet32': dict(gamma=0.1, weight=1.5),
            'vgg13_vgg8': dict(gamma=0.1, weight=2.25),
            'wrn40-2_wrn16-2': dict(gamma=0.1, weight=4.0),
            'wrn40-2_wrn40-1': dict(gamma=0.1, weight=3.0),
            'resnet32x4_shufflenetv1': dict(gamma=0.2, weight=1.4),
            'resnet32x4_shufflenetv2': dict(gamma=0.4, weight=16.0),
            'resnet50_mobilenetv2': dict(gamma=0.2, weight=5.0),
            'vgg13_mobilenetv2': dict(gamma=0.2, weight=3.0),
            'wrn40-2_shufflenetv1': dict(gamma=0.3, weight=3.0),
        },
    ),
)
