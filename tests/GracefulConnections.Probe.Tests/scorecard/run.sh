#!/usr/bin/env bash
# Writes src/docs/scorecard.md: builds the probe and our server, installs what is missing from Debian's packages,
# starts each server, judges it, stops it. By hand, as root for apt-get; it takes about four minutes.
# With --no-install, installs and builds nothing. With KEEP=FOLDER, leaves the reports there.
set -uo pipefail
cd "$(dirname "$0")"
here=$PWD
root=$(cd ../../.. && pwd)
servers=$here/servers
work=$(mktemp -d)
number=0
at_once=4
behind=()
trap 'kill "${behind[@]}" 2>/dev/null; rm -rf "$work"' EXIT

[ "${1:-}" = --no-install ] || {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        default-jdk-headless erlang-base golang-go haproxy memcached nginx nodejs python3 redis-server
}
[ "${1:-}" = --no-install ] || dotnet build -v q -nologo "$root/tests/GracefulConnections.Probe.Tests" || exit 1

probe() { dotnet "$root/src/GracefulConnections.Probe/bin/Debug/net10.0/graceful-probe.dll" "$@"; }
ours() { exec dotnet "$root/tests/GracefulConnections.ProbeServers/bin/Debug/net10.0/GracefulConnections.ProbeServers.dll" "$@"; }

await() {
    for _ in $(seq 300); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.1
    done
    return 1
}

# Judges one server in the background, at most four at a time: the title of its row, its version, its profile, and a
# command that serves $port in the foreground. $signal is what stops it well, where that is not SIGTERM.
judge() {
    [ "$(jobs -rp | wc -l)" -lt $((at_once + ${#behind[@]})) ] || wait -n
    number=$((number + 1))
    port=$((7500 + number))
    export port
    judge_now "$@" &
}

judge_now() {
    local title=$1 version=$2 profile=$3 report=$work/$number
    shift 3
    "$@" >"$report.log" 2>&1 &
    local pid=$!
    local stop=(--stop-command "kill -${signal:-TERM} $pid")
    [ -n "${signal:-}" ] || stop=(--pid "$pid")
    if await "$port"; then
        probe run "127.0.0.1:$port" --profile "$profile" --connections 200 "${stop[@]}" --json "$report.json" \
            >"$report.txt" 2>"$report.err" || true
        python3 "$here/row.py" "$title" "$version" "$report.json" "$report.err" >"$(row "$number")"
    else
        echo "| $title | $version | not judged: it does not start | | | | | | | |" >"$(row "$number")"
    fi
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
}

row() { printf '%s/row-%02d' "$work" "$1"; }
first() { "$@" 2>&1 | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -1; }
has() {
    command -v "$1" >/dev/null && return
    number=$((number + 1))
    echo "| $2 | | not judged: $1 cannot be installed here | | | | | | | |" >"$(row "$number")"
    return 1
}

serve_nginx() {
    mkdir -p "$work/nginx"
    echo "the page that nginx serves" >"$work/nginx/index.html"
    cat >"$work/nginx.conf" <<END
daemon off; pid $work/nginx.pid; error_log /dev/null;
events { worker_connections 4096; }
http { access_log off; server { listen 127.0.0.1:$port; root $work/nginx; } }
END
    exec nginx -c "$work/nginx.conf"
}

serve_haproxy() {
    cat >"$work/haproxy.cfg" <<END
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen relay
    bind 127.0.0.1:$port
    server one 127.0.0.1:7500
END
    exec haproxy -db -f "$work/haproxy.cfg"
}

serve_stock() { ours stock "$port"; }
serve_graceful() { ours graceful "$port"; }

judge "stock Kestrel" "$(dotnet --list-runtimes | sed -n 's/^Microsoft.AspNetCore.App \([^ ]*\).*/\1/p' | tail -1)" line serve_stock
version=$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' "$root/Directory.Build.props")
judge "GracefulConnections" "$version" line serve_graceful
has nginx nginx && signal=QUIT judge "nginx" "$(first nginx -v)" http serve_nginx
if has haproxy "HAProxy (TCP)"; then
    (ours graceful 7500) >/dev/null 2>&1 &
    behind=($!)
    await 7500
    signal=USR1 judge "HAProxy (TCP, before GracefulConnections)" "$(first haproxy -v)" line serve_haproxy
fi
has redis-server redis-server && judge "redis-server" "$(first redis-server --version)" resp \
    sh -c 'exec redis-server --port $port --save ""'
has memcached memcached && judge "memcached" "$(first memcached -V)" "$servers/memcached.json" \
    sh -c 'exec memcached -u root -l 127.0.0.1 -p $port'
if has go 'Go `net`'; then
    (cd "$servers" && GOCACHE=$work/cache GO111MODULE=off go build -o "$work/go" go.go)
    judge 'Go `net`' "$(first go version)" line sh -c "exec $work/go \$port"
fi
has node 'Node.js `net`' && judge 'Node.js `net`' "$(first node --version)" line sh -c "exec node $servers/node.js \$port"
judge 'Python `asyncio`' "$(first python3 --version)" line sh -c "exec python3 $servers/asyncio_server.py \$port"
judge 'Python `socketserver`' "$(first python3 --version)" line sh -c "exec python3 $servers/socketserver_server.py \$port"
if has erlc 'Erlang `gen_tcp`'; then
    erlc -o "$work" "$servers/line.erl"
    judge 'Erlang `gen_tcp`' "$(dpkg-query -W -f '${Version}' erlang-base | grep -oE '[0-9]+\.[0-9.]+[0-9]' | head -1)" line \
        sh -c "exec erl -noshell -pa $work -run line main \$port"
fi
if has javac 'Java `ServerSocket`'; then
    javac -d "$work" "$servers/Line.java"
    judge 'Java `ServerSocket`' "$(first javac -version)" line sh -c "exec java -cp $work Line \$port"
fi

while [ "$(jobs -rp | wc -l)" -gt ${#behind[@]} ]; do wait -n; done
cat "$here/head.md" "$work"/row-* "$here/foot.md" >"$root/src/docs/scorecard.md"
cat "$work"/row-*
[ -z "${KEEP:-}" ] || cp "$work"/*.txt "$work"/*.log "$work"/*.err "$KEEP"
