# shellcheck shell=bash
# What the scripts in dev/ share. Sourced, never run.

export DEBIAN_FRONTEND=noninteractive
# A root shell got by `su` may lack the sbin directories.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Where state is kept unless a script's own variable says otherwise.
# shellcheck disable=SC2034  # read by the scripts that source this
cache=${XDG_CACHE_HOME:-$HOME/.cache}

# --- talking -------------------------------------------------------------------

# Standard output is for a program to read; all talk goes to standard error.
say() { echo "dev/${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }
usage() { # the calling script's header comment
	sed -n '2,/^[^#]/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2
	exit 2
}
exported() { printf 'export %s=%q\n' "$1" "$2"; }

need_root() { [[ $EUID == 0 ]] || die "needs root, for mounts, network and cgroups: run it with sudo -E"; }

# quietly LOG WHAT COMMAND...: the output goes to LOG. A person sees a line every
# 15 s, and the end of LOG should the command fail.
quietly() {
	local log=$1 what=$2 rc=0 ticker; shift 2
	tick "$what" $$ >/dev/null 9>&- &
	ticker=$!
	"$@" >"$log" 2>&1 </dev/null || rc=$?
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	((rc == 0)) || { tail -n 20 "$log" >&2; die "$what failed (exit code $rc); the whole output is in $log"; }
}
tick() { # tick WHAT PARENT
	local began=$SECONDS
	# The sleep must not hold the caller's standard error open once it is orphaned.
	while sleep 15 2>/dev/null && kill -0 "$2" 2>/dev/null; do say "$1: $((SECONDS - began)) s so far"; done
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
	local deadline=$((SECONDS + $1)) what=$2; shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || { say "timed out waiting for $what"; return 1; }
		sleep 0.1
	done
}

# --- packages ------------------------------------------------------------------

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
apt() { apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }
apt_install() { # apt_install PACKAGE...: only what is missing
	local package missing=() log
	for package; do installed "$package" || missing+=("$package"); done
	((${#missing[@]})) || return 0
	need_root
	command -v apt-get >/dev/null || die "no apt-get here; install by hand: ${missing[*]}"
	say "installing with apt: ${missing[*]}"
	log=$(mktemp)
	quietly "$log" "apt-get update" apt update
	quietly "$log" "apt-get install" apt install --no-install-recommends "${missing[@]}"
	rm -f "$log"
}

# --- Go ------------------------------------------------------------------------

want_go() { awk '$1 == "go" { print $2 }' "$1"; }
new_enough() { # new_enough GO GO_MOD: a go command that can build this go.mod
	local version
	version=$("$1" env GOVERSION 2>/dev/null) && [[ $(printf '%s\n' "$(want_go "$2")" "${version#go}" | sort -V | head -n 1) == "$(want_go "$2")" ]]
}
# Go from PATH, from its usual places, or from apt where apt has a new enough one.
find_go() { # find_go GO_MOD
	local go version
	for go in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-1.*/bin/go; do
		if [[ -x $go ]] && new_enough "$go" "$1"; then PATH=$(dirname "$go"):$PATH; return; fi
	done
	for version in 1.26 1.25 1.24; do
		[[ $(apt-cache policy "golang-$version-go" 2>/dev/null) == *Candidate:\ [0-9]* ]] || continue
		apt_install "golang-$version-go"
		PATH=/usr/lib/go-$version/bin:$PATH
		return
	done
	die "needs Go $(want_go "$1") or newer. Debian 12's own golang (1.19) is too old: add" \
		"bookworm-backports to apt's sources and run this again, or unpack a Go release at /usr/local/go"
}

# --- processes, by pid file ------------------------------------------------------

# A pid counts as ours only while its command line names our state directory: pid
# files survive a crash or a reboot, and the number may be somebody else's by then.
alive() { # alive PIDFILE MARK
	local pid; pid=$(cat "$1" 2>/dev/null) && [[ -n $pid ]] || return 1
	[[ $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") == *"$2"* ]]
} 2>/dev/null
spawn() { # spawn PIDFILE LOG COMMAND...: detached from the terminal and from our lock
	local pidfile=$1 log=$2; shift 2
	setsid nohup "$@" >>"$log" 2>&1 </dev/null 9>&- &
	echo $! >"$pidfile"
}
stop() { # stop PIDFILE MARK [SIGNAL]: and KILL when that takes over 20 s
	local pid i
	if alive "$1" "$2"; then
		pid=$(cat "$1")
		kill "-${3:-TERM}" "$pid" 2>/dev/null || true
		for ((i = 0; i < 200; i++)); do alive "$1" "$2" || break; sleep 0.1; done
		if alive "$1" "$2"; then kill -KILL "$pid" 2>/dev/null || true; fi
	fi
	rm -f "$1"
}

# Containers and their shims outlive a containerd that was killed. Each is found by
# what only ours have: a task directory below STATE, our socket on the command line.
kill_tasks() { # kill_tasks STATE SOCKET
	local task id pid proc
	for task in "$1"/io.containerd.runtime.v2.task/*/*/; do
		id=$(basename "$task")
		pid=$(cat "$task/init.pid" 2>/dev/null) || continue
		if grep -qs "$id" "/proc/$pid/cgroup"; then kill -KILL "$pid" 2>/dev/null || true; fi
	done
	for proc in /proc/[0-9]*; do
		[[ $(tr '\0' ' ' 2>/dev/null <"$proc/cmdline") == *containerd-shim*" -address $2 "* ]] || continue
		kill -KILL "${proc#/proc/}" 2>/dev/null || true
	done
}
unmount_below() { # unmount_below DIRECTORY: deepest first
	local mount
	awk -v d="$1/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r mount; do
		umount "$mount" 2>/dev/null || umount -l "$mount" || true
	done
}
