#!/usr/bin/env bash
# A sweep on nodes of Slurm:
#
#   sbatch deploy/slurm.sh --benchmark /nfs/data/ls100 --method ede --name mine --storage /nfs/earshot --budget 23h
#
# Ray starts on all nodes of the allocation and ends with it. Everything after the script's name goes to the sweep. A
# job that is requeued or preempted resumes: the same command finds its completed sessions. A sweep that has used up its
# --budget (choose it shorter than --time) is put into the queue again. See docs/cluster.md.
#
#SBATCH --job-name=earshot
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
# With GPUs: sbatch --gpus-per-node=4 deploy/slurm.sh --gpus-per-trial 0.25 ...
set -euo pipefail

cd "${SLURM_SUBMIT_DIR:-.}"
if [ -f .venv/bin/activate ]; then
  # shellcheck disable=SC1091
  . .venv/bin/activate
fi

# Anyone with the token can run code on the nodes. It is passed in the environment of srun, not on a command line.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export CPUS="${SLURM_CPUS_PER_TASK:-1}"
host=$(python -c 'import ray; print(ray.util.get_node_ip_address())')
port=$((20000 + SLURM_JOB_ID % 10000))

node() { # one node of the cluster, until it receives a signal; removes its files
  local folder ray signalled=""
  folder=$(mktemp -d /tmp/ear-XXXXXXXX)
  ray start --block --num-cpus "$CPUS" --temp-dir "$folder/r" "$@" >"$folder/log" 2>&1 &
  ray=$!
  trap 'signalled=yes; kill "$ray" || true' TERM INT
  wait "$ray" || wait "$ray" || [ -n "$signalled" ] || tail -n 20 "$folder/log" >&2
  rm -rf "$folder"
}
export -f node

nodes=()
trap 'kill "${nodes[@]}" || true; wait "${nodes[@]}" || true' EXIT

node --head --port "$port" --include-dashboard=false &
nodes+=($!)
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  others=$((SLURM_JOB_NUM_NODES - 1))
  srun --nodes="$others" --ntasks="$others" --cpus-per-task="$CPUS" --exclude="$SLURMD_NODENAME" \
    bash -c 'node "$@"' node --address "$host:$port" &
  nodes+=($!)
fi

timeout 300 python - "$host:$port" "$SLURM_JOB_NUM_NODES" <<'PYTHON'
"""Waits for the head, then for all nodes: a sweep plans for the nodes that it finds when it begins."""
import sys, time
from orchestrator.cluster.session import start_ray
from datasets.utils.errors import EarshotError

address, nodes = sys.argv[1], int(sys.argv[2])
while True:
    try:
        with start_ray(address):
            import ray

            while sum(node["Alive"] for node in ray.nodes()) < nodes:
                time.sleep(1)
            break
    except EarshotError:
        time.sleep(1)
PYTHON

python -m orchestrator.sweep --address "$host:$port" "$@" &
sweep=$!
trap 'kill "$sweep" || true' TERM # Slurm takes the nodes back, or the time is up
status=0
wait "$sweep" || status=$?
while kill -0 "$sweep" 2>/dev/null; do # the signal has ended the waiting, not yet the sweep
  status=0
  wait "$sweep" || status=$?
done
if [ "$status" -eq 3 ]; then # the budget is used up
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
