# bash completion for vmm. SPDX-License-Identifier: MIT

# The files that begin with $1, which follow the prefix $2 of the word.
_vmm_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
	[ -z "$2" ] || COMPREPLY=("${COMPREPLY[@]/#/$2}")
}

# The keys of a comma-separated value $1 that are not given yet: $2...
_vmm_keys() {
	local value=$1 given key
	shift
	given=${value%"${value##*,}"}
	local -a left=()
	for key; do
		[[ ,$given == *,$key* ]] || left+=("$given$key")
	done
	compopt -o nospace 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -W "${left[*]}" -- "$value")
}

_vmm_net() {
	local taps=()
	case $1 in
	tap=*,*) _vmm_keys "$1" mac= mtu= ;;
	fd=*,* | passt=*,*) _vmm_keys "$1" mac= mtu= ;;
	passt=*) _vmm_files "${1#passt=}" passt= ;;
	tap=*)
		[ ! -d /sys/class/net ] || mapfile -t taps < <(cd /sys/class/net && ls -d -- */tun_flags 2>/dev/null)
		mapfile -t COMPREPLY < <(compgen -P tap= -W "${taps[*]%/tun_flags}" -- "${1#tap=}")
		;;
	*) _vmm_keys "$1" tap= passt= fd= ;;
	esac
}

_vmm_disk() {
	case $1 in
	*,overlay=*) _vmm_files "${1##*,overlay=}" "${1%,overlay=*},overlay=" ;;
	*,overlay-dir=*) _vmm_files "${1##*,overlay-dir=}" "${1%,overlay-dir=*},overlay-dir=" ;;
	*,*)
		compopt -o nospace 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -P "${1%,*}," -W 'ro overlay overlay= overlay-dir=' -- "${1##*,}")
		;;
	*) _vmm_files "$1" ;;
	esac
}

_vmm() {
	local word option value options='--kernel --rootfs --disk --net --vsock --initrd --cmdline
		--no-default-cmdline --mem --cpus --acpi --serial --check --boot-timer --status-fd --events-fd --lifeline-fd --sandbox --uid --gid --grace --control --kvm-fd --snapshot --restore --start-fd --help --version'

	# bash takes "--name=value" apart at "=" and ":"; here it is one word again.
	word=${COMP_LINE:0:COMP_POINT} word=${word##*[[:space:]]}
	option=${COMP_LINE:0:COMP_POINT-${#word}} option=${option%"${option##*[![:space:]]}"} option=${option##*[[:space:]]}
	value=$word
	[[ $word != --*=* ]] || option=${word%%=*} value=${word#*=}
	COMPREPLY=()
	case $option in
	--kernel | --initrd | --control | --snapshot | --restore) _vmm_files "$value" ;;
	--rootfs | --disk) _vmm_disk "$value" ;;
	--serial)
		if [[ $value == file:* ]]; then
			_vmm_files "${value#file:}" file:
		else
			compopt -o nospace 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -W 'stdio none file: fd=' -- "$value")
		fi
		;;
	--acpi) mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$value") ;;
	--sandbox) mapfile -t COMPREPLY < <(compgen -W 'on warn strict off' -- "$value") ;;
	--net) _vmm_net "$value" ;;
	--vsock) _vmm_keys "$value" cid= uds= uds-fd= connect-fd= ;;
	--cmdline | --mem | --cpus | --status-fd | --events-fd | --lifeline-fd | --uid | --gid | --grace | --start-fd | --kvm-fd) ;;
	*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
	esac
	# bash's word begins behind the last "=" or ":".
	local before=${word%"${word##*[=:]}"} i
	[[ $word != --*=* ]] || before=${before#"${word%%=*}="}
	for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"$before"}; done
}

complete -F _vmm vmm
