# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by the script `lab`: the machine with an Intel processor. It is Bochs, which emulates VMX with EPT
# and unrestricted guests, and has no devices for fast files or streams. So its root is made of two disks: the
# files of some of this machine's packages (in the cache, made once), and what the command may need of the
# current work tree (made anew each time). The disks' files have no name once it runs: nothing can stay behind.

intel_packages="bochs bochs-term bochsbios e2fsprogs isolinux syslinux-common vgabios xorriso"
# Whose files are there, with those of the packages that they depend on.
intel_root_packages="base-files bash busybox-static coreutils cpio dash debianutils diffutils dmsetup e2fsprogs
	findutils gawk grep iproute2 kmod mount procps python3 sed socat tar util-linux"
intel_modules="ata_piix sd_mod overlay"
intel_kvm_modules="kvm-intel"

intel_root_list() {
	# shellcheck disable=SC2086
	apt-cache depends --installed --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
		--no-replaces --no-enhances $intel_root_packages | grep '^[a-z]' | sort -u |
		xargs dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n' 2>/dev/null | grep ' installed$'
}

# Makes an ext4 file system without a journal of a directory's files, with a few MiB to spare: a disk that
# Bochs takes has whole cylinders of 16 heads and 63 sectors.
intel_disk() { # directory, image
	local kib cylinder=$((16 * 63 * 512))
	kib=$(($(du -sk --apparent-size "$1" | cut -f 1) * 5 / 4 + 8192))
	truncate -s $(((kib * 1024 / cylinder + 1) * cylinder)) "$2"
	mke2fs -q -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=0,nodiscard -d "$1" "$2"
}

# Copies the files named on stdin, one a line and relative to the current directory, into a directory.
intel_copy() { # directory
	tar -c --no-recursion --ignore-failed-read --sparse -T - 2>/dev/null | tar -x -C "$1" --keep-directory-symlink
}

intel_build_root() { # image
	local work release name
	echo "lab: making the root disk of the Intel machine" >&2
	work=$(mktemp -d "$cache/new.XXXXXX")
	mkdir -p "$work"/root/usr/{bin,sbin,lib,lib64,lib32,libx32} "$work"/root/{tmp,var/tmp,root,proc,sys,dev,run,mnt,etc}
	for name in bin sbin lib lib64 lib32 libx32; do
		ln -s "usr/$name" "$work/root/$name"
	done
	chmod 1777 "$work/root/tmp" "$work/root/var/tmp"
	release=$(basename "$kernel"/lib/modules/*)
	{
		intel_root_list | cut -d ' ' -f 1 | xargs dpkg-query -L |
			grep -vE '^/usr/share/(doc|man|locale|info|lintian|i18n|zoneinfo)(/|$)|^/(\.|s?bin|lib[^/]*)$'
		# Made at installation, not in a package's list.
		find /etc/alternatives /etc/ld.so.* /etc/passwd /etc/group /etc/nsswitch.conf /etc/mke2fs.conf
		find /usr/bin /usr/sbin -type l -lname '/etc/alternatives/*'
	} | sed 's|^/||' | sort -u | (cd / && intel_copy "$work/root")
	mkdir -p "$work/root/usr/lib/modules"
	cp -a "$kernel/lib/modules/$release" "$work/root/usr/lib/modules/"
	intel_disk "$work/root" "$work/disk" || { rm -rf "$work"; fail "making the root disk failed (see above)"; }
	mv "$work/disk" "$1"
	rm -rf "$work"
}

intel_build_cd() { # initrd, words for the kernel, image
	local work
	work=$(mktemp -d "$cache/new.XXXXXX")
	mkdir "$work/cd"
	cp "$kernel/vmlinuz" /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/cd/"
	cp "$1" "$work/cd/initrd"
	cat >"$work/cd/isolinux.cfg" <<-CFG
		DEFAULT lab
		LABEL lab
		KERNEL vmlinuz
		APPEND initrd=initrd $2
	CFG
	xorriso -as mkisofs -quiet -o "$work/image" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 \
		-boot-info-table "$work/cd" 2>"$work/log" ||
		{ cat "$work/log" >&2; rm -rf "$work"; fail "making the CD failed (see above)"; }
	mv "$work/image" "$3"
	rm -rf "$work"
}

# Sets intel_root, intel_cd; called with the cache locked.
intel_prepare() {
	local tool words
	for tool in bochs-bin xorriso mke2fs /usr/lib/ISOLINUX/isolinux.bin /usr/share/bochs/BIOS-bochs-latest \
		/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so; do
		command -v "$tool" >/dev/null || [ -e "$tool" ] || fail "$tool is missing: apt-get install $intel_packages"
	done
	intel_root=$cache/intel-root-$( (intel_root_list; cat "$here/lab_intel.bash"; echo "$kernel") |
		sha256sum | cut -c1-16)
	[ -e "$intel_root" ] || intel_build_root "$intel_root"
	words="LAB_DISKS=1 console=ttyS3,115200 quiet loglevel=1 mitigations=off panic=-1 tsc=reliable"
	words+=" no_timer_check cryptomgr.notests $kernel_words"
	intel_cd=$programs/cd-$(echo "$words" | sha256sum | cut -c1-16)
	[ -e "$intel_cd" ] || intel_build_cd "$programs/initrd" "$words" "$intel_cd"
}

# The part of a work tree that a command may need: what git does not ignore, the monitor, the guests (of Debian's large kernels one is
# enough) and the tests' programs.
intel_work_files() {
	local directory
	git ls-files -co --exclude-standard 2>/dev/null || find . -type f
	for directory in vmm build/guest build/tests/guest build/tests/linux; do
		[ ! -e "$directory" ] || find "$directory" ! -name '*-debian-*' ! -name bzImage-debian
	done
}

# Opens a disk with them as descriptor 8, and the root as 7.
intel_open_disks() { # directory
	local work
	work=$(mktemp -d)
	mkdir -p "$work/root$1"
	(cd "$1" && intel_work_files | sort -u | intel_copy "$work/root$1")
	intel_disk "$work/root" "$work/disk" || { rm -rf "$work"; fail "making the work disk failed (see above)"; }
	exec 7<"$intel_root" 8<>"$work/disk"
	rm -rf "$work"
}

# Sets `machine`, Bochs' command line. Its settings, the debugger's one command and all that they name are open files:
# 5 and 6, the disks 7 and 8, and host.h's: 10, 12 and 13 the ports, 14 the kernel's console, 15 the job.
#
# Bochs opens /dev/ptmx and draws its screen there some times a second. Nobody can read that, and Bochs stops for good when
# it is full, after 64 KiB: minutes on a busy host. So its /dev/ptmx is /dev/null. Each time that the machine halts, Bochs
# waits a millisecond for its stdin to be readable: /dev/null always is.
machine_bochs() {
	local work
	work=$(mktemp -d)
	echo c >"$work/go"
	cat >"$work/rc" <<-END
		display_library: term
		cpu: model=corei7_skylake_x, count=1, ips=100000000, ignore_bad_msrs=1
		memory: guest=2048, host=2048
		romimage: file=/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=/usr/share/vgabios/vgabios.bin
		clock: sync=none, time0=utc
		panic: action=fatal
		error: action=ignore
		info: action=ignore
		debug: action=ignore
		log: /dev/null
		speaker: enabled=0
		plugin_ctrl: speaker=false
		boot: cdrom
		ata0: enabled=1
		ata0-master: type=disk, mode=flat, path="/proc/self/fd/7"
		ata0-slave: type=disk, mode=flat, path="/proc/self/fd/8"
		ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
		ata1-master: type=cdrom, path="$intel_cd", status=inserted
		ata1-slave: type=disk, mode=flat, path="/proc/self/fd/15"
		com1: enabled=1, mode=term, dev=/proc/self/fd/10
		com2: enabled=1, mode=term, dev=/proc/self/fd/12
		com3: enabled=1, mode=term, dev=/proc/self/fd/13
		com4: enabled=1, mode=term, dev=/proc/self/fd/14
	END
	exec 5<"$work/rc" 6<"$work/go"
	rm -rf "$work"
	# shellcheck disable=SC2016 # for the inner shell
	machine=(env TERM=xterm unshare --mount sh -c 'mount --bind /dev/null /dev/ptmx && exec "$@" </dev/null' sh bochs-bin -q -f /proc/self/fd/5 -rc /proc/self/fd/6)
}
