#!/usr/bin/env bash
# Looks for false verdicts: runs the probe many times against a correct server, and counts verdicts that are no pass.
# run.sh [RUNS [AT_ONCE]]: first on loopback with both cores busy, then over a network with 50 ms of round trip, 5 % loss
# and 10 Mbit/s. Needs root, Python 3, iproute2 and /dev/net/tun. Everything must have been built. Writes summary.md.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
runs=${1:-200} at_once=${2:-8}
export probe=$root/src/GracefulConnections.Probe/bin/Debug/net10.0/graceful-probe.dll
server=$here/../Servers/line_server.py
work=$(mktemp -d)
export work
pids=() busy=()
clean() {
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null
    ip netns del probe-a 2>/dev/null
    ip netns del probe-b 2>/dev/null
    rm -rf "$work"
}
trap clean EXIT

# Waits until a program has printed to a file.
ready() { until [ -s "$1" ]; do sleep 0.1; done; }

# Probes in many processes at once: the name of the network, how many runs, then how to start a probe.
many() {
    local name=$1 count=$2
    shift 2
    seq "$count" | xargs -P "$at_once" -I '{}' sh -c \
        "$* --profile line --connections 50 --json $work/$name-{}.json >/dev/null 2>$work/$name-{}.err || true"
}

python3 "$server" None 7600 >"$work/server" & pids+=($!)
ready "$work/server"
for _ in 1 2; do sh -c 'while :; do :; done' & busy+=($!); done
pids+=("${busy[@]}")
many busy "$runs" dotnet "$probe" run 127.0.0.1:7600
kill "${busy[@]}"

ip netns add probe-a && ip netns add probe-b || exit 1
python3 "$here/relay.py" probe-a probe-b 0.025 0.05 10e6 >"$work/relay" & pids+=($!)
ready "$work/relay"
for side in a:1 b:2; do
    ip -n "probe-${side%:*}" addr add "10.99.0.${side#*:}/24" dev bad0
    ip -n "probe-${side%:*}" link set bad0 up
    ip -n "probe-${side%:*}" link set lo up
done
ip netns exec probe-b python3 "$server" None 7600 10.99.0.2 >"$work/far" & pids+=($!)
ready "$work/far"
at_once=1
many network "$(((runs + 39) / 40))" ip netns exec probe-a dotnet "$probe" run 10.99.0.2:7600 --allow-remote --patience 30

python3 "$here/summary.py" "$work" busy network | tee "$here/summary.md"
