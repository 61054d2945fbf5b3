#!/usr/bin/env bash
# Looks for false verdicts: runs the probe many times against correct servers, and counts verdicts that are no pass.
# run.sh [RUNS [AT_ONCE [BUSY]]]: RUNS on loopback with both cores busy; and at the same time once each over networks
# with 50 ms of round trip, with 5 % loss, with 10 Mbit/s, and with all three. Each against a server in Python that is restarted and
# stopped, and as often against one in C# with TLS that is stopped. BUSY is how many endless loops of low priority take
# what the probes leave of the cores. Writes summary.md after each part, and when it is ended early.
# Everything must have been built. Needs root, Python 3, openssl, iproute2 and /dev/net/tun.
set -uo pipefail
set -m # Each part is a group of processes, so that an early end reaches whatever it has started.
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
runs=${1:-200} at_once=${2:-16} loops=${3:-2}
work=$(mktemp -d)
export here root work
export probe=$root/src/GracefulConnections.Probe/bin/Debug/net10.0/graceful-probe.dll
export secure=$root/tests/GracefulConnections.ProbeServers/bin/Debug/net10.0/GracefulConnections.ProbeServers.dll
export python=$here/../Servers/line_server.py
pids=()
clean() {
    for pid in $(jobs -pr); do kill -- "-$pid" 2>/dev/null; done
    sleep 1 # A probe's restart command is a process apart, and is about to write its server's id.
    for pid in "$work"/*.pid; do xargs kill -KILL <"$pid" 2>/dev/null; done
    ip netns del probe-a 2>/dev/null
    ip netns del probe-b 2>/dev/null
    summarize
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM

# Judges one server once. one NAME NUMBER HOST SERVER_AT PROBE_AT [OPTION...]: the part's name, the run's number, where the
# server listens, what to start it and the probe with (nothing, or words such as "ip netns exec NAME"), and how to probe.
one() {
    local name=$1 number=$2 host=$3 server_at=$4 probe_at=$5 report=$work/$1-$2
    [ -d "$work" ] || return # Ended early.
    shift 5
    local port=$((17600 + number % 100)) start pid=$report.pid
    case $name in
        *-tls)
            port=$((port + 100))
            start="$server_at dotnet $secure graceful $port $host $work/both.pem"
            set -- "$@" --tls --tls-ca "$work/certificate.pem" --tls-name localhost
            ;;
        *)
            start="$server_at python3 $python None $port $host"
            set -- "$@" --restart-command "kill -TERM \$(tail -1 $pid); $start >/dev/null & echo \$! >>$pid"
            ;;
    esac
    $start >/dev/null 2>"$report.server" &
    echo $! >"$pid"
    until $probe_at bash -c "exec 3<>/dev/tcp/$host/$port" 2>/dev/null; do sleep 0.2; done
    read -r load _ </proc/loadavg
    $probe_at dotnet "$probe" run "$host:$port" --profile line --connections 50 --stop-command "kill -TERM \$(tail -1 $pid)" \
        --json "$report.json" "$@" >/dev/null 2>"$report.err"
    echo "$load" >"$report.load"
    xargs kill -KILL <"$pid" 2>/dev/null # Ended early, both may wait for peers whose network is gone.
    rm "$pid"
}
export -f one

summarize() { python3 "$here/summary.py" "$work" >"$work/summary.md" && mv "$work/summary.md" "$here/summary.md"; }

# Judges a server many times, half of AT_ONCE at the same time: the part's name, then as one takes it.
many() {
    local name=$1
    shift
    seq "$runs" | xargs -P "$(((at_once + 1) / 2))" -I '{}' bash -c 'one "$@"' one "$name" '{}' "$@"
    summarize
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null || exit 1
cat "$work/certificate.pem" "$work/key.pem" >"$work/both.pem"

# Judges both servers once over a network: the part's name, then delay, loss and rate as relay.py takes them.
network() {
    local name=$1
    shift
    ip netns add probe-a && ip netns add probe-b || exit 1
    python3 "$here/relay.py" probe-a probe-b "$@" >"$work/relay" &
    local relay=$!
    echo "$relay" >"$work/relay.pid"
    until [ -s "$work/relay" ]; do sleep 0.1; done
    for side in a:1 b:2; do
        ip -n "probe-${side%:*}" addr add "10.99.0.${side#*:}/24" dev bad0
        ip -n "probe-${side%:*}" link set bad0 up
        ip -n "probe-${side%:*}" link set lo up
    done
    for part in "$name" "$name-tls"; do
        one "$part" 1 10.99.0.2 'ip netns exec probe-b' 'ip netns exec probe-a' --allow-remote --patience 30
    done
    kill "$relay"
    wait "$relay" 2>/dev/null
    rm "$work/relay" "$work/relay.pid"
    ip netns del probe-a
    ip netns del probe-b
    summarize
}

networks() {
    network delay 0.025 0 1e9
    network loss 0 0.05 1e9
    network rate 0 0 10e6
    network all 0.025 0.05 10e6
}

for ((i = 0; i < loops; i++)); do nice -n 10 sh -c 'while :; do :; done' & pids+=($!); done
networks & pids+=($!)
many busy 127.0.0.1 '' '' & pids+=($!)
many busy-tls 127.0.0.1 '' '' & pids+=($!)
wait "${pids[@]: -3}"
summarize
grep -q '^False verdicts: 0\.$' "$here/summary.md"
