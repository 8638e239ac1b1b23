"""What mmcv's ``collect_env`` asks of its extension."""


def get_compiler_version() -> str:
    """The compiler of the operators: none."""
    return 'n/a (mmcv-lite)'


def get_compiling_cuda_version() -> str:
    """The CUDA version of the operators: none."""
    return 'n/a (mmcv-lite)'
