#!/bin/bash
# Tests 'opd up', 'opd ps' and 'opd down' over three machines that a real sshd each makes of a network namespace: a
# learner and two that have workers and scorers. The run grows, shrinks, loses a process to a SIGKILL and a machine's
# link for some seconds, is ended, beside a command that watches, and gone on with; its weights must be those of the same run on one machine, bit for
# bit, and its ledger must balance. Where it can, it also hides the Swift libraries from one machine.
#
# usage: cluster/ssh/test.sh PATH_OF_OPD    installs openssh-server, rsync and iproute2 where they are missing; where that
#                                           cannot be done, or without root, it says so in one line and succeeds
set -euo pipefail
cd "$(dirname "$0")/../.."
opd=$(realpath "${1:?usage: cluster/ssh/test.sh PATH_OF_OPD}")

PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" -eq 0 ] || { echo "network namespaces need root: 'opd up' is not tested over ssh" >&2 && exit 0; }
has_tools() { for tool in sshd ssh rsync ip python3; do command -v $tool >/dev/null || return 1; done; }
has_tools || scripts/apt.sh openssh-server openssh-client rsync iproute2 >/dev/null 2>&1 || true
has_tools || { echo "openssh-server, rsync and iproute2 cannot be installed: 'opd up' is not tested over ssh" >&2 && exit 0; }

# Short: a socket's path is in it. The space is for what takes paths apart.
work=$(mktemp -d /tmp/opdssh.XXXXXX)
tag=os$$
subnet=10.$((64 + $$ % 64)).$(($$ / 64 % 256))
bridge=br-$tag
machines=(trainer first second)

cleanup() {
    status=$?
    trap - EXIT INT TERM
    if [ $status -ne 0 ]; then
        echo "error: failed while: ${doing:-starting}" >&2
        tail -n 25 "$work"/*.log "$work"/machines/*/*/up/*/*.log >&2 || true
    fi
    # What was begun beside it and goes on after a failure.
    for pid in $(jobs -p); do kill -KILL "$pid" 2>/dev/null || true; done
    # Whatever runs in a namespace is this script's.
    for machine in "${machines[@]}"; do
        ip netns pids "$tag-$machine" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
        ip netns del "$tag-$machine" 2>/dev/null || true
    done
    ip link del "$bridge" 2>/dev/null || true
    if [ -n "${KEEP:-}" ]; then echo "kept $work" >&2; else rm -rf "$work"; fi
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
fail() { echo "error: $*" >&2 && exit 1; }

doing="starting machines"
ssh-keygen -q -t ed25519 -N '' -f "$work/user"
mkdir -p "$work/here" /run/sshd
ip link add "$bridge" type bridge
ip addr add "$subnet.254/24" dev "$bridge"
ip link set "$bridge" up
number=1
for machine in "${machines[@]}"; do
    ip netns add "$tag-$machine"
    ip link add "v$number-$tag" type veth peer name eth0 netns "$tag-$machine"
    ip link set "v$number-$tag" master "$bridge" up
    ip -n "$tag-$machine" link set lo up
    ip -n "$tag-$machine" addr add "$subnet.$number/24" dev eth0
    ip -n "$tag-$machine" link set eth0 up
    mkdir -p "$work/machines/$machine"
    ssh-keygen -q -t ed25519 -N '' -f "$work/$machine.host"
    cat >"$work/$machine.sshd" <<END
Port 22
ListenAddress $subnet.$number
HostKey $work/$machine.host
PidFile $work/$machine.pid
AuthorizedKeysFile $work/user.pub
PasswordAuthentication no
PermitRootLogin yes
StrictModes no
UsePAM no
END
    cat >>"$work/config" <<END
Host $machine
    HostName $subnet.$number
    User root
    IdentityFile $work/user
    IdentitiesOnly yes
    UserKnownHostsFile $work/known
    StrictHostKeyChecking yes
END
    echo "$subnet.$number $(cut -d ' ' -f 1,2 "$work/$machine.host.pub")" >>"$work/known"
    number=$((number + 1))
done
libraries=$(ldd "$opd" | sed -n 's#.* => \(/.*\)/libswiftCore.so .*#\1#p')
for machine in "${machines[@]}"; do
    # A namespace has mounts of its own: what is hidden there is not hidden elsewhere.
    hide=:
    if [ "$machine" = second ] && [ -n "$libraries" ]; then hide="mount -t tmpfs none '$libraries'"; fi
    ip netns exec "$tag-$machine" bash -c "$hide && exec $(command -v sshd) -D -f '$work/$machine.sshd' -E '$work/$machine.log'" &
done
# The user's own ssh, with a configuration of its own: what finds no option finds this.
mkdir "$work/bin"
printf '#!/bin/sh\nexec %s -F %s "$@"\n' "$(command -v ssh)" "$work/config" >"$work/bin/ssh"
chmod +x "$work/bin/ssh"
export PATH="$work/bin:$PATH"
for machine in "${machines[@]}"; do
    for ((i = 0; i < 50; i++)); do
        if ssh "$machine" true 2>/dev/null; then break; fi
        sleep 0.1
    done
    ssh "$machine" true || fail "no sshd on $machine"
done

cat >"$work/run.yaml" <<END
name: placed
student:  { model: $PWD/Examples/models/arithmetic-student }
teachers: { default: { model: $PWD/Examples/models/arithmetic-teacher } }
data:     { task: "arithmetic:operations=add+sub", task_prompts: 512, heldout_count: 32, prompts_per_step: 16 }
sampling: { max_tokens: 32 }
objective: { baseline: least_variance }
training: { steps: ${STEPS:-800}, learning_rate: 5.0e-4, beta2: 0.98 }
pipeline: { slots: 64, threads: 1, lease_s: 10, heartbeat_s: 0.5, connect_timeout_s: 120 }
evaluation: { every: 100 }
checkpoint: { every: 10, keep_last: 2 }
END
hosts() { # hosts WORKERS_ON_FIRST SECOND: what the machines do
    cat >"$work/hosts.yaml" <<END
learner: { host: trainer, address: $subnet.1 }
hosts:
  trainer: { folder: "$work/machines/trainer/it's here" }
  first: { folder: $work/machines/first/opd, workers: $1, scorers: 1 }
$2
END
}
second="  second: { folder: $work/machines/second/opd, workers: 1, scorers: 1 }"
run="$work/machines/trainer/it's here/runs/placed"
cd "$work/here"
up() { "$opd" up "$work/hosts.yaml" "$work/run.yaml"; }
step() { grep -c '"loss"' "$run/metrics.jsonl" 2>/dev/null || true; }
wait_for() { # wait_for STEP: until so many steps are done
    for ((i = 0; i < 1800; i++)); do
        now=$(step)
        [ "${now:-0}" -lt "$1" ] || return 0
        sleep 0.1
    done
    fail "no step $1 in 180 s"
}
running() { "$opd" ps runs/placed | awk '$4 == "running"' | wc -l; }

doing="telling it to end while it copies"
hosts 1 ""
printf '#!/bin/sh\necho $$ >%s/rsync\nexec sleep 1000\n' "$work" >"$work/bin/rsync"
chmod +x "$work/bin/rsync"
"$opd" up "$work/hosts.yaml" "$work/run.yaml" >"$work/up0.log" 2>&1 &
command=$!
for ((i = 0; i < 300; i++)); do
    [ ! -s "$work/rsync" ] || break
    sleep 0.1
done
kill -TERM "$command"
status=0
wait "$command" || status=$?
[ "$status" -eq 143 ] || { cat "$work/up0.log"; fail "status $status after SIGTERM"; }
if kill -0 "$(<"$work/rsync")" 2>/dev/null; then fail "rsync goes on"; fi
rm "$work/bin/rsync"

doing="bringing it up"
up 2>&1 | tee "$work/up1.log"
[ "$(running)" -eq 3 ] || { "$opd" ps runs/placed; fail "not three processes run"; }
there=$(echo "$work"/machines/first/opd/up/placed-*)
[ "$(stat -c %a "$there/keys/rollout.key")" = 600 ] || fail "a key has not mode 0600"
for place in "$work"/machines/first/opd/files/*/*; do
    [ "$(stat -c %a "$place")" = "$([ -d "$place" ] && echo 700 || echo 600)" ] || fail "$place can be read by others"
done
[ ! -e "$there/keys/learner.key" ] || fail "a worker has the learner's key"
wait_for 2

doing="doing it again"
up 2>&1 | tee "$work/up2.log"
grep -q '^0 started, 3 run already' "$work/up2.log" || fail "what runs was started again"
if grep -q copying "$work/up2.log"; then fail "what is there was copied again"; fi

doing="growing"
hosts 2 "$second"
up 2>&1 | tee "$work/up3.log"
grep -q '^3 started, 3 run already' "$work/up3.log" || fail "it did not grow by three"
[ -z "$libraries" ] || grep -q 'second: copying .* libraries' "$work/up3.log" || fail "second got no libraries"
wait_for $(($(step) + 3))
"$opd" ps runs/placed | tee "$work/ps.log"
[ "$(grep -c 'tasks' "$work/ps.log")" -ge 5 ] || fail "the learner does not know all members"

doing="losing a process"
victim=$(awk '$2 == "rollout-second-0" { print $3 }' "$work/ps.log")
kill -KILL "$victim"
sleep 1
"$opd" ps runs/placed | grep -q 'rollout-second-0 .*ended 137' || fail "its end was not seen"
up 2>&1 | tee "$work/up4.log"
grep -q '^1 started, 5 run already' "$work/up4.log" || fail "what died was not started"

doing="cutting a machine's link"
ip link set "v3-$tag" down
status=0
up 2>"$work/up5.log" || status=$?
cat "$work/up5.log"
[ "$status $(grep -c '^error: second: ' "$work/up5.log")" = "1 1" ] || fail "a machine that is away is not one line"
grep -q '^0 started, 4 run already' "$work/up5.log" || fail "the others were not left alone"
wait_for $(($(step) + 2))
ip link set "v3-$tag" up
for ((i = 0; i < 60; i++)); do
    if up >"$work/up6.log" 2>&1; then break; fi
    sleep 0.5
done
grep -q ' run already' "$work/up6.log" || fail "the machine did not come back"
[ "$(running)" -eq 6 ] || fail "not six processes run"

doing="shrinking"
hosts 1 ""
up 2>&1 | tee "$work/up7.log"
[ "$(running)" -eq 3 ] || fail "it did not shrink"
wait_for $(($(step) + 2))

doing="taking a machine to be another"
sed -i "s#$work/machines/first/opd#$work/machines/first/other#" "$work/hosts.yaml"
status=0
up 2>"$work/up8.log" || status=$?
cat "$work/up8.log"
[ "$status $(grep -c "first was first with folder .* 'opd down --host first'" "$work/up8.log")" = "2 1" ] ||
    fail "what runs in the other folder is forgotten"
hosts 1 ""

doing="ending one machine beside a command that watches"
"$opd" up --watch "$work/hosts.yaml" "$work/run.yaml" 2>"$work/watching.log" &
watcher=$!
for ((i = 0; i < 300; i++)); do
    if grep -q '^0 started, 3 run already' "$work/watching.log"; then break; fi
    sleep 0.1
done
"$opd" down --host first runs/placed
sleep 12
[ "$(running)" -eq 1 ] || { cat "$work/watching.log"; fail "what was ended was started again"; }
up 2>&1 | tee "$work/up9.log"
[ "$(running)" -eq 3 ] || fail "the machine was not taken back"
wait_for $(($(step) + 2))

doing="bringing it down"
before=$(step)
[ "$before" -lt "${STEPS:-800}" ] || fail "the run was over before it was ended: give STEPS more"
"$opd" down runs/placed 2>&1 | tee "$work/down.log"
tail -n 1 "$work/down.log" | grep -q 'trainer: ended learner' || fail "the learner did not end last"
status=0
wait "$watcher" || status=$?
cat "$work/watching.log"
[ "$status $(grep -c 'trainer: the learner ended with exit status 143' "$work/watching.log")" = "1 1" ] ||
    fail "who watched did not leave it ended"
[ "$(running)" -eq 0 ] || fail "something runs"
for machine in "${machines[@]}"; do
    for pid in $(ip netns pids "$tag-$machine"); do
        if [[ $(tr '\0' ' ' <"/proc/$pid/cmdline") == *bin/opd* ]]; then fail "process $pid is left on $machine"; fi
    done
done

doing="going on"
hosts 1 "$second"
"$opd" up --watch "$work/hosts.yaml" "$work/run.yaml" 2>&1 | tee "$work/watch.log"
grep -q 'goes on from its last checkpoint' "$work/watch.log" || fail "it did not go on"
grep -q 'come to its end' "$work/watch.log" || fail "it did not come to its end"
[ "$(running)" -eq 0 ] || fail "something runs"

doing="comparing it with the same run on one machine"
"$opd" run "$work/run.yaml" --set name=alone --quiet >"$work/alone.log" 2>&1
cmp "$run/checkpoints/latest/model/model.safetensors" runs/alone/checkpoints/latest/model/model.safetensors
python3 - "$run/metrics.jsonl" runs/alone/metrics.jsonl <<'END'
import json, sys
placed, alone = ([json.loads(line) for line in open(path)] for path in sys.argv[1:])
steps = lambda lines: [(line["step"], line["loss"]) for line in lines if "loss" in line]
assert steps(placed) == steps(alone), "the losses differ"
ledger = next(line for line in reversed(placed) if "tokens_trained" in line)
print("tokens trained:", ledger["tokens_trained"], "of", ledger["tokens_generated"], "generated")
END
echo "a run over three machines, which grew, shrank, and lost a process, a link and its learner, has the bits of one on this machine"
