#!/usr/bin/env bash
# On each of the machines: NODES=4 HEAD=node1 docs/cluster/torchrun.sh configs/grpo_3b.yaml
set -euo pipefail
exec torchrun --no-python --nnodes "${NODES:-1}" --nproc-per-node "${GPUS:-8}" --rdzv-backend c10d \
  --rdzv-endpoint "${HEAD:-localhost}:29500" --rdzv-id "${RUN_ID:-caprl}" --max-restarts 3 \
  caprl-train --config "$@"
