#!/usr/bin/env bash
# Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [flags of train.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS describe the job.
set -euo pipefail
HERE="$(cd "$(dirname "$0")" && pwd)"

# SRUN_ARGS is a list of words on purpose.
# shellcheck disable=SC2086
srun -p "$1" --job-name="$2" \
    --gres="gpu:${GPUS_PER_NODE:-8}" --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$HERE/train.py" "$3" --work-dir="$4" --launcher slurm "${@:5}"
