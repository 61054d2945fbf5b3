#!/usr/bin/env bash
# Judges stock Kestrel, EchoServer, RespServer and TcpProxy with graceful-probe, all at the same time.
# Fails when one of ours has less than A, or when stock Kestrel has no bad grade: then the probe sees nothing any more.
# Everything must have been built before. The reports are left in the folder that is given; without one they are deleted.
set -uo pipefail
cd "$(dirname "$0")/../.."
reports=${1:-}
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$work"' EXIT
mkdir -p "${reports:=$work}"
export ASPNETCORE_ENVIRONMENT=Production Logging__LogLevel__Default=Error

probe() { dotnet src/GracefulConnections.Probe/bin/Debug/net10.0/graceful-probe.dll "$@"; }

# Starts a server: its name, its folder, then its arguments.
serve() {
    local name=$1 folder=$2
    shift 2
    (cd "$work" && exec dotnet "$OLDPWD/$folder/bin/Debug/net10.0/$(basename "$folder").dll" "$@") >"$work/$name.log" 2>&1 &
    pids+=($!)
    last=$!
}

# Waits up to 30 s until somebody listens.
await() {
    for _ in $(seq 300); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.1
    done
    echo "Nobody listens on port $1."
    cat "$work"/*.log
    exit 1
}

# Judges a server in the background: its name, its port, its profile, then further options.
judge() {
    local name=$1 port=$2 profile=$3
    shift 3
    probe run "127.0.0.1:$port" --profile "$profile" "$@" --json "$reports/$name.json" --html "$reports/$name.html" \
        >"$reports/$name.txt" 2>/dev/null &
    judging+=($!)
}

serve stock tests/GracefulConnections.ProbeServers stock 7411
serve echo samples/EchoServer; echo=$last
serve resp samples/RespServer --Resp:Port 7413 --Http:Port 0; resp=$last
serve upstream samples/RespServer --Resp:Port 7414 --Http:Port 0
serve proxy samples/TcpProxy --Proxy:Listen 127.0.0.1:7415 --Proxy:Connect 127.0.0.1:7414; proxy=$last
for port in 7411 5000 7413 7414 7415; do await "$port"; done

judging=()
judge stock-kestrel 7411 line # Its stop would take 30 s, until it resets everybody.
judge echo-server 5000 echo --pid "$echo"
judge resp-server 7413 resp --pid "$resp"
judge tcp-proxy 7415 resp --pid "$proxy"
wait "${judging[@]}"

failed=0
for name in stock-kestrel echo-server resp-server tcp-proxy; do
    grade=$(sed -n 's/^Grade: //p' "$reports/$name.txt")
    echo "$name: ${grade:-no grade}"
    case $name:$grade in
        stock-kestrel:[DF]*) continue ;;
        stock-kestrel:*) echo "Stock Kestrel loses bytes, and the probe did not see it." ;;
        *:A*) continue ;;
    esac
    cat "$reports/$name.txt"
    failed=1
done
exit "$failed"
