#!/bin/bash
# Tests the jobs of this folder on a real slurmctld and four slurmd, all on this machine and of this script's own.
# A run of jobs that join, leave, are preempted, put back and cancelled, and that a heterogeneous job then brings to its
# end, must have the weights, the metrics and the ledger of a run that nobody disturbed.
#
# usage: cluster/slurm/test.sh PATH_OF_OPD         installs slurmctld, slurmd and munge where they are missing;
#                                                  where that cannot be done it says so in one line and succeeds
set -euo pipefail
cd "$(dirname "$0")/../.."
opd=$(realpath "${1:?usage: cluster/slurm/test.sh PATH_OF_OPD}")
jobs=$PWD/cluster/slurm

has_slurm() { for tool in slurmctld slurmd munged scontrol sbatch; do command -v $tool >/dev/null || return 1; done; }
PATH=$PATH:/usr/sbin:/sbin
has_slurm || scripts/apt.sh slurmctld slurmd slurm-client munge >/dev/null 2>&1 || true
has_slurm || { echo "slurmctld, slurmd and munge cannot be installed: jobs of Slurm are not tested" >&2 && exit 0; }

work=$(mktemp -d /tmp/opd-slurm.XXXXXX)
export SLURM_CONF=$work/slurm.conf
daemons=()

cleanup() {
    status=$?
    trap - EXIT INT TERM
    if [ $status -ne 0 ]; then
        echo "error: failed while: ${doing:-starting}" >&2
        squeue 2>/dev/null >&2 || true
        tail -n 15 "$work"/run/*.log "$work"/slurmctld.log >&2 || true
    fi
    scancel --user="$(id -un)" 2>/dev/null || true
    for _ in {1..20}; do [ -n "$(squeue -h 2>/dev/null)" ] || break; sleep 0.5; done
    for daemon in "${daemons[@]}"; do kill "$daemon" 2>/dev/null || true; done
    for daemon in "${daemons[@]}"; do wait "$daemon" 2>/dev/null || true; done
    if [ -n "${KEEP:-}" ]; then echo "kept $work" >&2; else rm -rf "$work"; fi
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

doing="starting Slurm"
host=$(hostname -s)
read -r -a ports < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(5)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))')
cat >"$SLURM_CONF" <<END
ClusterName=opdtest
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[4]}
AuthType=auth/munge
CredType=cred/munge
# A job that was put back waits for as long as the credentials of its last start last.
AuthInfo=socket=$work/munge.socket,cred_expire=5
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,bf_resolution=1,sched_interval=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=60
SlurmdTimeout=300
ReturnToService=0
END
for i in 0 1 2 3; do
    echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[i]} CPUs=4 State=UNKNOWN" >>"$SLURM_CONF"
done
cat >>"$SLURM_CONF" <<END
PartitionName=low Nodes=n[0-3] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=120
PartitionName=high Nodes=n[0-3] MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
END
mkdir "$work/state" "$work"/spool-n{0,1,2,3}
head -c 128 /dev/urandom >"$work/munge.key"
chmod 600 "$work/munge.key"
munged --force --foreground --num-threads=2 --key-file="$work/munge.key" --socket="$work/munge.socket" \
    --pid-file="$work/munged.pid" --log-file="$work/munged.log" --seed-file="$work/munged.seed" 2>/dev/null &
daemons+=($!)
for _ in {1..50}; do [ -S "$work/munge.socket" ] && break; sleep 0.1; done
slurmctld -D >/dev/null 2>&1 &
daemons+=($!)
for i in 0 1 2 3; do
    slurmd -D -N "n$i" >/dev/null 2>&1 &
    daemons+=($!)
done
for _ in {1..120}; do
    idle=$(sinfo -h -N -p low -t idle -o %N 2>/dev/null | wc -l)
    [ "$idle" -eq 4 ] && break
    sleep 0.5
done
[ "$idle" -eq 4 ] || { tail -n 5 "$work"/slurm*.log >&2 && exit 1; }

export OPD_POLL=2 OPD_PATIENCE=300
python3 "$jobs/books.py" make "$work/run" "$opd"
cd "$work/run"
# So that the commands are those that people type.
mkdir -p .build/release
ln -s "$opd" .build/release/opd
ln -s "$(dirname "$jobs")" cluster
run=runs/tiny

# submit NODES OPTION... SCRIPT [ARGUMENT...]: prints the job's number.
submit() { sbatch --parsable --nodelist="$1" --nodes=1 --cpus-per-task=1 --time=60 "${@:2}"; }
status() { "$opd" status "$run" --config run.yaml --json 2>/dev/null | python3 "$jobs/books.py" status; }
step() { local step members; read -r step members < <(status) && echo "$step"; }
members() { local step members; read -r step members < <(status) && echo "$members"; }
state() { scontrol -o show job "$1" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p;q'; }
starts() { scontrol -o show job "$1" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p;q'; }

within() { # within SECONDS COMMAND...: until the command succeeds, on a machine that has little else to do
    local limit=$((SECONDS + $1 * ${PATIENCE:-4}))
    until "${@:2}"; do
        ((SECONDS < limit)) || { echo "error: not within $1 s: ${*:2}" >&2 && exit 1; }
        sleep 0.5
    done
}
has_members() { [ "$(members)" = "$1" ]; }
has_state() { [ "$(state "$1")" = "$2" ]; }
has_started() { [ "$(state "$1")" = RUNNING ] && [ "$(starts "$1")" -ge "$2" ]; }
is_beyond() { [ "$(step)" -gt "$1" ]; }
goes_on() { # goes_on: some steps further than now, or than the last that was seen
    reached=$(($(step) > reached ? $(step) : reached))
    within 120 is_beyond $((reached + 5))
}
did() { echo "$((SECONDS / 60)):$(printf %02d $((SECONDS % 60))) $doing: step $(last_step)"; }
# Heterogeneous jobs are started by the backfill scheduler, which sleeps while nothing else happens in a cluster.
wake() { [ "$(state "$1")" != PENDING ] || scontrol update jobid="$1" comment="$SECONDS"; }
has_come_back() { wake "$1" && [ "$(starts "$1")" -ge "$2" ]; }
is_completed() { wake "$1" && has_state "$1" COMPLETED; }
is_idle() { [ -z "$(squeue -h)" ]; }
last_step() { tail -n 1 "$run/metrics.jsonl" | sed -E 's/.*"step": ([0-9]+),.*/\1/'; }
checkpoint_step() { sed -nE 's/^  "step" : ([0-9]+),?$/\1/p' "$run/checkpoints/latest/state.json"; }
reached=0

doing="workers and a scorer wait for a learner, which is submitted last"
rollouts=$(submit n1 --array=0-1 cluster/slurm/rollout.sbatch run.yaml)
scorers=$(submit n1 --array=0 cluster/slurm/scorer.sbatch run.yaml)
within 60 has_state "${scorers}_0" RUNNING
learner=$(submit n0 cluster/slurm/learner.sbatch run.yaml)
within 90 has_members 3
goes_on
did

doing="the run grows by two workers and a scorer"
more_rollouts=$(submit n2 --array=0-1 cluster/slurm/rollout.sbatch run.yaml)
submit n2 --array=0 cluster/slurm/scorer.sbatch run.yaml >/dev/null
within 90 has_members 6
goes_on
did

doing="the run shrinks by a worker and a scorer"
scancel "${more_rollouts}_0" "${scorers}_0"
within 60 has_members 4
goes_on
did

doing="a worker's node is preempted, and the worker comes back"
high=$(sbatch --parsable --partition=high --nodelist=n2 --exclusive --time=5 --output=/dev/null --wrap "sleep 3")
within 90 has_state "$high" RUNNING
within 60 has_members 2
submit n3 --array=0 cluster/slurm/scorer.sbatch run.yaml >/dev/null
within 90 has_started "${more_rollouts}_1" 1
within 90 has_members 5
goes_on
did

doing="the learner's node is preempted, and the learner comes back"
high=$(sbatch --parsable --partition=high --nodelist=n0 --exclusive --time=5 --output=/dev/null --wrap "sleep 3")
within 120 has_state "$high" RUNNING
within 120 has_started "$learner" 1
within 90 has_members 5
goes_on
did

doing="the learner is put back into the queue by a person"
scontrol requeue "$learner"
within 180 has_started "$learner" 2
within 90 has_members 5
goes_on
did

doing="a worker is told that its time is nearly over"
scancel --batch --signal=USR1 "${rollouts}_1"
within 120 has_started "${rollouts}_1" 1
within 60 has_members 5
goes_on
did

doing="the learner's node fails"
scontrol update nodename=n0 state=down reason=test
within 60 has_state "$learner" PENDING
scontrol update nodename=n0 state=resume
within 180 has_started "$learner" 3
within 90 has_members 5
goes_on
did

doing="the learner is cancelled, and all others end"
scancel "$learner"
within 180 has_state "$learner" CANCELLED
within 120 is_idle
[ "$(last_step)" -eq "$(checkpoint_step)" ] || { echo "error: cancelled without a checkpoint" >&2 && exit 1; }
reached=$(last_step)
did

doing="a heterogeneous job goes on with the run, is preempted where its workers are, and comes back"
steps=$((reached + 300))
sed '/^#SBATCH/s/--cpus-per-task=8/--cpus-per-task=1/' cluster/slurm/run.sbatch >small.sbatch
whole=$(OPD_SECONDS=25 sbatch --parsable small.sbatch run.yaml --set "training.steps=$steps")
within 90 has_members 6
goes_on
high=$(sbatch --parsable --partition=high --nodelist=n1 --exclusive --time=5 --output=/dev/null --wrap "sleep 3")
within 120 has_state "$high" RUNNING
within 180 has_come_back "$whole" 1
within 90 has_members 6
did

doing="it goes back into the queue when its time is over, and brings the run to its end"
within 600 has_come_back "$whole" 2
within 600 is_completed "$whole"
within 120 is_idle
did

doing="comparing with a run that nobody disturbed"
cp -r . "$work/undisturbed" && cd "$work/undisturbed" && rm -r runs
"$opd" run run.yaml --quiet --set "training.steps=$steps" 2>&1
python3 "$jobs/books.py" compare "$work/run" "$work/undisturbed"
echo "$steps steps: weights, metrics and ledger are those of a run that nobody disturbed"
