#!/bin/bash
# SPDX-License-Identifier: MIT
# What a broken monitor can still ask the kernel for: system calls that are made inside each kind of its threads, once it is
# confined and the guest may run (sandbox_hook.c). What must never be had is listed here; the filters are in host/seccomp.c,
# and tests/unit/seccomp.c knows exactly what they let through.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
hook=build/tests/vmm-hook
[ -x $hook ] || die "there is no $hook (make test-programs)"

# Not in what is shipped.
grep -aq SANDBOX_HOOK $hook || die "the hook has no name"
! grep -aq SANDBOX_HOOK ./vmm || die "./vmm has the hook"
[ ! -e build/vmm.debug ] || ! nm build/vmm.debug | grep -i "hook\|__wrap" || die "vmm.debug has the hook"

never="open openat openat2 creat open_by_handle_at name_to_handle_at execve execveat uselib fork vfork clone clone3
ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_open pidfd_getfd pidfd_send_signal kill
rt_sigqueueinfo rt_tgsigqueueinfo mmap mprotect pkey_mprotect pkey_alloc mremap remap_file_pages brk memfd_create
memfd_secret userfaultfd shmget shmat bpf perf_event_open io_uring_setup io_setup io_submit seccomp prctl arch_prctl
personality modify_ldt set_thread_area iopl ioperm init_module finit_module delete_module create_module kexec_load
kexec_file_load reboot swapon acct quotactl syslog mount umount2 pivot_root chroot chdir fchdir unshare setns fsopen
fsmount fspick fsconfig move_mount open_tree mount_setattr setuid setgid setreuid setregid setresuid setresgid
setgroups setfsuid setfsgid capset keyctl add_key request_key rename renameat renameat2 link linkat symlink symlinkat
mkdir mkdirat rmdir mknod mknodat chmod fchmod fchmodat chown fchown lchown fchownat truncate ftruncate fallocate
setxattr fsetxattr utimensat dup dup2 dup3 sendfile splice tee vmsplice copy_file_range read pread64 readv preadv2
pwrite64 getdents64 bind listen accept accept4 recvmsg recvmmsg sendmmsg settimeofday clock_settime adjtimex
clock_adjtime sethostname setdomainname setrlimit prlimit64 sched_setscheduler sched_setaffinity setpriority
landlock_create_ruleset landlock_add_rule landlock_restrict_self fanotify_init inotify_init1 mlock mlockall
vhangup nfsservctl lookup_dcookie mbind move_pages migrate_pages get_mempolicy set_mempolicy"
# Linux's numbers, and the operations of io_uring that open, make, move or send something.
calls=$(awk '/^#define __NR_/ { print $3, substr($2, 6) }' /usr/include/x86_64-linux-gnu/asm/unistd_64.h)
never_on_ring=" 0 4 5 7 8 9 10 12 15 18 19 21 24 25 26 28 29 30 31 32 33 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 "

python3 - "$tmp/beside" <<'END' &
import signal, socket, sys
kept = []
for name in (sys.argv[1], "\0" + sys.argv[1]):
    kept.append(socket.socket(socket.AF_UNIX))
    kept[-1].bind(name)
    kept[-1].listen(64)
signal.alarm(300)
signal.pause()
END
at_exit kill -KILL $!
disown
for ((i = 0; i < 250; i++)); do [ ! -S "$tmp/beside" ] || break; sleep 0.02; done
export SANDBOX_HOOK_SOCKET=$tmp/beside
# shellcheck disable=SC2034 # for lib.sh
monitor=("$hook")
mkdir "$tmp/own"

# Before Linux 6.12 abstract sockets can be had (docs/security.md): that is taken for a refusal.
scoped=yes
./vmm --check --kernel "$elf/hello.elf" | grep -qx "sandbox  landlock-scope on" || scoped=

# strike THREAD WHAT [ARGUMENT...]: what the attacker says is in $tmp/err.
strike() {
	SANDBOX_HOOK="$1 $2" TIME_LIMIT=100 vmm_run --kernel "$elf/hello.elf" --cpus 2 "${@:3}"
	[ -n "$scoped" ] || sed -i 's/^\(worker\|connect\)-abstract: done$/\1-abstract: errno 1 no scope/' "$tmp/err"
}

# The VM goes on after it.
struck() {
	strike "$@"
	expect_status 0 "$*"
	expect_output "hello from the guest"
	grep -qx "hook: over" "$tmp/err" || die "$*: the hook is not over"
}

values() { # NAME: what passes of it
	sed -n "s/^$1\( [^:]*\)\?://p" "$tmp/err"
}

# only NAME [MOST]: what passes of it is at most this.
only() {
	local value
	for value in $(values "$1"); do
		[[ " ${2-} " == *" $value "* ]] || die "$where: $1 passes with $value"
	done
}

# has_swept MOST IOCTLS SOCKETS [NAME...]: after a sweep: which numbers pass, and with what argument. NAME is no never.
has_swept() {
	local number name n=3 # exit, exit_group and rt_sigreturn are not tried
	[ "$(values refused)" -ge 1000 ] || die "$where: only $(values refused) are refused"
	for number in $(values numbers); do
		name=$(awk -v n="$number" '$1 == n { print $2 }' <<<"$calls")
		[ -n "$name" ] || die "$where: $number passes"
		[[ " ${*:4} " == *" $name "* ]] || ! grep -qw -- "$name" <<<"$never" || die "$where: $name passes"
		n=$((n + 1))
	done
	for name in ioctl fcntl madvise socket socketpair setsockopt tkill tgkill; do
		[ -z "$(values $name)" ] || n=$((n + 1))
	done
	# A signal to oneself is one, too.
	[ $n -le $(($1 + 3)) ] || die "$where: $n calls pass, more than $1"
	only prctl
	only kill
	only tkill
	only tgkill
	only madvise "4$([[ $where != *snapshots* ]] || echo " 10 17")"
	only fcntl "3 4 6 25"
	only socket "$3"
	only socketpair "$3"
	[ "$(values ioctl | wc -w)" -le "$2" ] || die "$where: ioctl passes with$(values ioctl)"
	only io_uring_register
}

# may_fail NAME...: of the attacks only these are not refused at once, and none succeeds.
may_fail() {
	local line
	[ "$(grep -c ": refused$" "$tmp/err")" -ge 60 ] || die "$where: $(cat "$tmp/err")"
	while read -r line; do
		[[ " $* " == *" ${line%%:*} "* ]] || die "$where: $line"
		# Root, and whoever may, connects to other programs' sockets (docs/security.md).
		[ "${line##*: }" != "done" ] || [ "${line%%:*}" = connect-path ] || die "$where: $line"
	done < <(grep -v ": refused$\|^hook: " "$tmp/err")
}

has_tried_rings() { # MOST
	local op n
	n=$(values rings)
	[ "$n" -le 2 ] || die "$where: $n rings"
	for op in $(values "ring . operations"); do
		[[ $never_on_ring != *" $op "* && $op -lt 50 ]] || die "$where: the ring takes operation $op"
	done
	# The first of two has a table that gets the VM at the end.
	[ "$n" = 1 ] || [[ " $(values "ring 0 operations") " =~ ^\ *(20)?\ *$ ]] || die "$where: $(cat "$tmp/err")"
	[[ " $(values "ring $((n - 1)) operations") " != *" 20 "* ]] || die "$where: the devices' ring has a table"
	[ "$(values "ring . operations" | wc -w)" -le "$1" ] || die "$where: $(cat "$tmp/err")"
	[ "$(values "ring . registrations" | wc -w)" = 0 ] || die "$where: $(cat "$tmp/err")"
	grep -qx "no-file: errno 9 .*" "$tmp/err" || die "$where: $(cat "$tmp/err")"
	[ "$(grep -c "^\(fixed-file\|ring-open\): errno 13 " "$tmp/err")" = 2 ] || die "$where: $(cat "$tmp/err")"
}

# Only IOSQE_ASYNC.
has_tried_flags() {
	expect_status 0 "$where"
	only flags 4
	grep -q "^flags:" "$tmp/err" || die "$where: no flags"
}

deadly="openat connect-inet execve ptrace mmap-exec mprotect-exec userfaultfd bpf ring-setup ring-register-buffers memfd
clone3 kvm-set-memory tun-set-iff socket-inet tkill-other x32-write"

# dies THREAD [ARGUMENT...]: as in the monitor of everyone: one line, and SIGSYS.
dies() {
	local name
	for name in $deadly; do
		[ "$name" != connect-inet ] || [ $# = 1 ] || continue # with sockets it fails
		{ strike "$1" "$name" "${@:2}"; } 2>/dev/null
		expect_status 159 "$where: $name"
		sed -i '/^hook: /d' "$tmp/err"
		expect_error '^vmm: system call [0-9]+ \(.*\) is none that this thread needs: the sandbox refuses it$'
		[ ! -s "$tmp/out" ] || die "$where: $name: the guest ran before"
	done
}

for thread in vcpu0 vcpu1 events; do
	where=$thread
	struck $thread sweep
	has_swept "$([ $thread = events ] && echo 13 || echo 11)" 8 ""
	struck $thread attacks
	may_fail write
	dies $thread
done
struck events ring
has_tried_rings 10
strike events flags
has_tried_flags

sockets=(--vsock "cid=3,uds=$tmp/own/v")
where="events with sockets"
struck events sweep "${sockets[@]}"
has_swept 20 8 1
struck events ring "${sockets[@]}"
has_tried_rings 14
grep -qx "worker-abstract: errno 1 .*" "$tmp/err" || die "$where: a worker connects: $(cat "$tmp/err")"
# The socket is in another directory than the vsock's, which is all that is seen.
if ./vmm --check --kernel "$elf/hello.elf" --vsock "cid=3,uds=$tmp/own/w" | grep -qx "sandbox  view on"; then
	grep -qx "worker-path: errno 2 .*" "$tmp/err" || die "$where: a worker sees: $(cat "$tmp/err")"
fi
strike events flags "${sockets[@]}"
has_tried_flags
rm "$tmp/own/v"
struck events attacks "${sockets[@]}"
may_fail write connect-path connect-abstract connect-inet unlink
dies events "${sockets[@]}"

# The first vCPU that has waited for its order has read what that was.
TIME_LIMIT=60 vmm_run --kernel "$elf/snapshot.elf" --snapshot "$tmp/waits"
expect_status 0 "a snapshot"
where="vcpu0 that has waited"
for what in sweep attacks; do
	SANDBOX_HOOK="vcpu0 $what" TIME_LIMIT=100 vmm_run --restore "$tmp/waits" --start-fd 7 7< <(echo go)
	expect_status 0 "$where: $what"
	grep -qx "hook: over" "$tmp/err" || die "$where: $what: the hook is not over"
	[ $what = attacks ] || has_swept 12 16 "" read
done
may_fail write read

# Whoever may take snapshots reads the machine, and makes an unnamed file, or a name for one, in one folder.
mkdir "$tmp/snapshots"
snapshots=(--snapshot "$tmp/snapshots/file")
where="events with snapshots"
struck events sweep "${snapshots[@]}"
has_swept 18 26 "" pread64
struck events ring "${snapshots[@]}"
has_tried_rings 10
struck events attacks "${snapshots[@]}"
may_fail write openat-unnamed linkat
dies events "${snapshots[@]}"
where="events with snapshots and sockets"
struck events sweep "${snapshots[@]}" "${sockets[@]}"
has_swept 25 26 1 pread64
struck events attacks "${snapshots[@]}" "${sockets[@]}"
may_fail write openat-unnamed linkat connect-path connect-abstract connect-inet unlink
