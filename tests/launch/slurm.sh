#!/bin/bash
# SPDX-License-Identifier: MIT
# examples/slurm: an array job of 40 tasks, a VM each, on two nodes of Slurm that are this machine. All runs in network and
# process namespaces that end with the test.
if [ "${SLURM_NAMESPACE-}" != yes ]; then
	for tool in slurmctld slurmd sbatch scontrol munged; do
		PATH=$PATH:/usr/sbin command -v $tool >/dev/null || {
			echo "$tool is missing (make deps-test)"
			exit 77
		}
	done
	unshare --net --pid --fork --mount-proc true 2>/dev/null || {
		echo "no network and process namespaces here"
		exit 77
	}
	SLURM_NAMESPACE=yes exec unshare --net --pid --fork --mount-proc --kill-child=TERM -- "$0"
fi
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/../guest/lib.sh"
need_kvm
PATH=$PATH:/usr/sbin
tasks=40
ip link set lo up
ip addr add 10.77.0.1/32 dev lo # Slurm resolves names as a host with a network does
truncate -s 1M "$tmp/image"
(umask 077 && head -c 128 /dev/urandom >"$tmp/key")
chmod 755 "$tmp"
cat >"$tmp/slurm.conf" <<END
ClusterName=test
SlurmctldHost=localhost
SlurmUser=root
AuthInfo=socket=$tmp/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
SchedulerParameters=sched_min_interval=100000,bf_interval=1
JobCompType=jobcomp/filetxt
JobCompLoc=$tmp/completed
JobAcctGatherType=jobacct_gather/none
StateSaveLocation=$tmp/state
SlurmctldPidFile=$tmp/slurmctld.pid
SlurmctldLogFile=$tmp/slurmctld.log
SlurmdPidFile=$tmp/%n.pid
SlurmdLogFile=$tmp/%n.log
SlurmdSpoolDir=$tmp/%n
SlurmctldPort=6817
NodeName=n1 NodeHostname=localhost Port=6818 CPUs=4 RealMemory=1000
NodeName=n2 NodeHostname=localhost Port=6819 CPUs=4 RealMemory=1000
PartitionName=all Nodes=n1,n2 Default=YES State=UP
END
export SLURM_CONF=$tmp/slurm.conf
mkdir "$tmp/state" "$tmp/n1" "$tmp/n2" "$tmp/output"

# within SECONDS COMMAND...: until it succeeds.
within() {
	local end=$((SECONDS + $1))
	until "${@:2}" >"$tmp/out" 2>"$tmp/err"; do
		[ $SECONDS -lt $end ] || { show; tail -n 5 "$tmp"/*.log; die "not within $1 s: ${*:2}"; }
		sleep 0.2
	done
}

munged --foreground --force --socket="$tmp/munge" --key-file="$tmp/key" --pid-file="$tmp/munge.pid" \
	--seed-file="$tmp/seed" --log-file="$tmp/munge.log" 2>"$tmp/munged.err" &
within 30 test -S "$tmp/munge"
slurmctld -D -f "$SLURM_CONF" 2>"$tmp/slurmctld.err" &
for node in n1 n2; do slurmd -D -N $node -f "$SLURM_CONF" 2>"$tmp/$node.err" & done
idle() { [ "$(sinfo --noheader --Node --format=%T | grep -c '^idle$')" = 2 ]; }
within 30 idle

# The status of each task is its number.
VMM=$PWD/vmm KERNEL=$PWD/$elf/end.elf IMAGE=$tmp/image sbatch --parsable --array=1-$tasks --output="$tmp/output/%a" \
	examples/slurm/vms.sbatch status-of-task >"$tmp/job" 2>"$tmp/err" || { show; die "sbatch"; }
job=$(cat "$tmp/job")
ended() { [ "$(scontrol --oneliner show job "$job" | grep -cE 'JobState=(COMPLETED|FAILED|NODE_FAIL|CANCELLED|TIMEOUT)')" = $tasks ]; }
within 200 ended
scontrol --oneliner show job "$job" | sed -n 's/.* ArrayTaskId=\([0-9]*\) .* JobState=\([A-Z]*\) .* ExitCode=\([0-9:]*\) .* NodeList=\([^ ]*\) .*/\1 \2 \3 \4/p' |
	sort -n >"$tmp/ends"
for ((task = 1; task <= tasks; task++)); do echo "$task FAILED $task:0"; done >"$tmp/expected"
cut -d ' ' -f 1-3 "$tmp/ends" | diff "$tmp/expected" - || die "the tasks' statuses"
[ "$(cut -d ' ' -f 4 "$tmp/ends" | sort -u | tr '\n' ' ')" = 'n1 n2 ' ] || die "not on both nodes: $(cat "$tmp/ends")"
[ "$(wc -l <"$tmp/completed")" = $tasks ] || die "the accounting has $(wc -l <"$tmp/completed") jobs"

# A task that is cancelled, and one that is well.
VMM=$PWD/vmm KERNEL=$PWD/$elf/end.elf IMAGE=$tmp/image sbatch --parsable --array=0 --output="$tmp/output/spin" \
	examples/slurm/vms.sbatch spin >"$tmp/job"
within 60 grep -q running "$tmp/output/spin"
scancel --batch --signal=TERM "$(cat "$tmp/job")"
cancelled() { scontrol --oneliner show job "$(cat "$tmp/job")" | grep -q 'JobState=FAILED .* ExitCode=143:0 '; }
within 60 cancelled
echo "$tasks tasks"
