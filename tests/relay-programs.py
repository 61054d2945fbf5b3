#!/usr/bin/env python3
"""Real programs through samples/TcpProxy, and beside it through a stock Kestrel relay, HAProxy and nothing.

Each program runs to its end, and once more with the relay's stop in the middle: SIGTERM, or for HAProxy its soft stop,
SIGUSR1. Prints a table in Markdown. Build first: dotnet build -c Release tests/GracefulConnections.Benchmarks

    python3 tests/relay-programs.py [--only NAME,...] [--configuration Release]

What is missing says which Debian package has it.
"""
import argparse
import getpass
import glob
import hashlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 60  # Seconds that a program gets at most. It is ended then, which counts as a failure.
MISSING = 77  # The exit code where a program is missing.
MEGABYTE = 1 << 20
SHORT = "--short" in sys.argv
ATTEMPTS = 3
TOO_EARLY = "had ended before the stop"
PYTHON = "/usr/bin/python3"  # The one that has the packages of Debian.


def find(name, package):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if path is None:
        candidates = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
        path = candidates[-1] if candidates else None
    if path is None:
        print(f"{name} is not installed (apt-get install {package}).")
        raise SystemExit(MISSING)
    return path


def need(module, package):
    if subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True).returncode:
        print(f"{module} of Python is not installed (apt-get install {package}).")
        raise SystemExit(MISSING)


def free_port():
    # Below those that the kernel gives to whoever connects (from 32768 on): nobody gets it before the program has it.
    for port in random.sample(range(16000, 20000), 4000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass  # Somebody has it.
    raise RuntimeError("None of the ports 16000 to 19999 is free.")


def wait_for_port(port, process):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with {process.returncode} before it listened.")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"Nothing listens on {port}.")


def count_connections(port):
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def tree(directory):
    base = pathlib.Path(directory)
    return {str(p.relative_to(base)): sha256(p) for p in base.rglob("*") if p.is_file() and ".git" not in p.parts}


class Program:
    """What is run. A subclass starts its server once, and its client for each relay."""

    name = command = ""
    factor = 1 / 8 if SHORT else 1  # Of the work. More, where a fast machine has done it before the stop.
    connections = 1  # The relay is asked to stop when the client has so many, and after some seconds more.
    stop_after = 0.5
    proxy_options = []  # More of the command line of samples/TcpProxy.

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        self.processes = []

    def many(self, count):
        """Returns a size, an eighth of it in a short run."""
        return max(1, int(count * self.factor))

    def serve(self, *arguments, port, **keywords):
        log = open(self.directory / "server.log", "ab")
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **keywords)
        self.processes.append(process)
        wait_for_port(port, process)
        return port

    def client(self, *arguments, **keywords):
        return subprocess.Popen(
            [str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            cwd=self.directory, **keywords)

    def write(self, name, megabytes):
        path = self.directory / name
        path.write_bytes(os.urandom(megabytes * MEGABYTE))
        return path

    def start(self):
        """Starts the server, and returns its port."""
        raise NotImplementedError

    def begin(self, port):
        """Starts the client, and returns its process."""
        raise NotImplementedError

    def judge(self, output):
        """Returns what is wrong with the client's result; None where nothing is."""
        return None

    def close(self):
        for process in reversed(self.processes):
            end(process)


class Ssh(Program):
    name = "ssh"
    command = "ssh HOST 'for i in $(seq 40); do echo $i; sleep 0.1; done'"

    def start(self):
        for key in ("host", "user"):
            subprocess.run(
                [find("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", self.directory / key], check=True)
        port = free_port()
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        options = {
            "ListenAddress": "127.0.0.1", "HostKey": self.directory / "host", "AuthorizedKeysFile": self.directory / "user.pub",
            "StrictModes": "no", "UsePAM": "no", "PermitRootLogin": "yes", "PidFile": "none",
            "Subsystem": "sftp internal-sftp"}
        (self.directory / "sshd.conf").write_text("".join(f"{key} {value}\n" for key, value in options.items()))
        return self.serve(
            find("sshd", "openssh-server"), "-D", "-e", "-p", str(port), "-f", str(self.directory / "sshd.conf"), port=port)

    def options(self):
        return ["-F", "none", "-i", self.directory / "user", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR"]

    def begin(self, port):
        return self.client(
            find("ssh", "openssh-client"), *self.options(), "-p", port, f"{getpass.getuser()}@127.0.0.1",
            "for i in $(seq 40); do echo $i; sleep 0.1; done")

    def judge(self, output):
        return None if output.split() == [str(i) for i in range(1, 41)] else f"{len(output.split())} of 40 lines"


class Scp(Ssh):
    name = "scp"
    command = "scp -l 160000 FILE HOST: (64 MiB)"

    def start(self):
        self.sent = self.write("sent", 64)
        return super().start()

    def begin(self, port):
        (self.directory / "received").unlink(missing_ok=True)
        return self.client(
            find("scp", "openssh-client"), *self.options(), "-q", "-l", 160000, "-P", port, self.sent,
            f"{getpass.getuser()}@127.0.0.1:{self.directory}/received")

    def judge(self, output):
        return None if sha256(self.sent) == sha256(self.directory / "received") else "the file differs"


class Mosquitto(Program):
    name = "mosquitto"
    connections = 2
    command = "mosquitto_sub -q 1 -c -C 100 -t t; mosquitto_pub -q 1 -l -t t (100 lines, 30 ms apart)"

    def start(self):
        port = free_port()
        (self.directory / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        return self.serve(find("mosquitto", "mosquitto"), "-c", str(self.directory / "mosquitto.conf"), port=port)

    def begin(self, port):
        subscribe, publish = (find(name, "mosquitto-clients") for name in ("mosquitto_sub", "mosquitto_pub"))
        return self.client("bash", "-c", f"""
            # The first one leaves a session behind, so that no message can come before its subscription.
            {subscribe} -h 127.0.0.1 -p {port} -q 1 -c -i test -t t -E || exit 1
            {subscribe} -h 127.0.0.1 -p {port} -q 1 -c -i test -C 100 -t t & sub=$!
            for i in $(seq 100); do echo $i; sleep 0.03; done | {publish} -h 127.0.0.1 -p {port} -q 1 -l -t t || exit 1
            wait $sub""")

    def judge(self, output):
        return None if output.split() == [str(i) for i in range(1, 101)] else f"{len(output.split())} of 100 messages"


class Postgres(Program):
    def start(self):
        port = free_port()
        data = self.directory / "data"
        keywords = {}
        if os.getuid() == 0:
            keywords["user"] = "postgres"  # It refuses to run as root.
            os.chmod(self.directory, 0o755)
            data.mkdir()
            shutil.chown(data, "postgres")
        initialize = [find("initdb", "postgresql"), "-D", data, "-U", "test", "-A", "trust"]
        subprocess.run(initialize, check=True, stdout=subprocess.DEVNULL, cwd="/", **keywords)
        self.serve(
            find("postgres", "postgresql"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F",
            port=port, cwd="/", **keywords)
        self.environment = dict(os.environ, PGUSER="test", PGDATABASE="postgres", PGHOST="127.0.0.1")
        while subprocess.run(["psql", "-p", str(port), "-c", "select 1"], env=self.environment, capture_output=True).returncode:
            time.sleep(0.1)
        return port

    def begin(self, port):
        return self.client(*self.arguments, "-p", port, env=self.environment)


class Psql(Postgres):
    name = "psql"
    command = "psql -c 'select pg_sleep(3)' -c 'select n from generate_series(1, 200000) n'"
    arguments = ["psql", "-t", "-A", "-q", "-c", "select pg_sleep(3)", "-c", "select n from generate_series(1, 200000) n"]

    def judge(self, output):
        return None if output.split() == [str(i) for i in range(1, 200001)] else f"{len(output.split())} of 200000 rows"


class SilentPsql(Postgres):
    name = "psql-silent"
    command = "psql -c 'select pg_sleep(8)', with --Proxy:Downstream:MessageGap 0:00:30"
    arguments = ["psql", "-t", "-A", "-q", "-c", "select pg_sleep(8)", "-c", "select 42"]
    proxy_options = ["--Proxy:Downstream:MessageGap", "0:00:30", "--Drain:DrainTimeout", "0:00:15"]

    def judge(self, output):
        return None if output.split() == ["42"] else output.strip()[-80:]


class Pgbench(Postgres):
    name = "pgbench"
    connections = 8
    command = "pgbench -c 8 -T 5"
    arguments = ["pgbench", "-n", "-c", "8", "-T", "5"]

    def start(self):
        port = super().start()
        subprocess.run(["pgbench", "-p", str(port), "-i", "-q"], env=self.environment, check=True, capture_output=True)
        return port

    def judge(self, output):
        failed = "number of failed transactions: 0 "
        return None if failed in output and "aborted" not in output else output.strip().splitlines()[-1]


class Memcached(Program):
    name = "memcached"
    connections = 8
    command = "memcslap --concurrency=8 --execute-number=10000 --test=get"

    def start(self):
        port = free_port()
        return self.serve(find("memcached", "memcached"), "-l", "127.0.0.1", "-p", str(port), "-u", "nobody", port=port)

    def begin(self, port):
        return self.client(
            find("memcslap", "libmemcached-tools"), f"--servers=127.0.0.1:{port}", "--concurrency=8", f"--execute-number={self.many(10000)}",
            "--test=get", "--initial-load=1000")

    def judge(self, output):
        bad = [line for line in output.splitlines() if "FAIL" in line.upper() or "ERROR" in line.upper()]
        return bad[0] if bad else None


class Smtp(Program):
    name = "swaks"
    command = "swaks --attach FILE (12 MiB), with --Proxy:Downstream:MessageGap 0:00:30"
    proxy_options = ["--Proxy:Downstream:MessageGap", "0:00:30"]  # On a busy machine the server thinks for long.

    def start(self):
        need("aiosmtpd", "python3-aiosmtpd")
        self.sent = self.write("sent", self.many(12))
        port = free_port()
        return self.serve(
            PYTHON, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}", "-c", "aiosmtpd.handlers.Debugging", port=port)

    def begin(self, port):
        return self.client(
            find("swaks", "swaks"), "--server", "127.0.0.1", "--port", port, "--from", "a@example.org", "--to", "b@example.org",
            "--attach", f"@{self.sent}", "--suppress-data", "--timeout", "30")

    def judge(self, output):
        return None if "250 OK" in output.split("354", 1)[-1] and "221" in output else output.strip().splitlines()[-1]


class H2load(Program):
    name = "h2load"
    connections = 16
    command = "h2load -n 150000 -c 16 -m 10 URL (1,000 bytes)"

    def start(self):
        (self.directory / "file").write_bytes(os.urandom(1000))
        port = free_port()
        return self.serve(
            find("nghttpd", "nghttp2-server"), "--no-tls", "-a", "127.0.0.1", "-d", str(self.directory), str(port), port=port)

    def begin(self, port):
        return self.client(
            find("h2load", "nghttp2-client"), "-n", 150000, "-c", 16, "-m", 10, f"http://127.0.0.1:{port}/file")

    def judge(self, output):
        line = next((line for line in output.splitlines() if line.startswith("requests:")), output.strip()[-80:])
        return None if "150000 succeeded, 0 failed, 0 errored" in line else line


class WebSocket(Program):
    name = "WebSocket"
    command = "python3-websockets: 100 echoes, 30 ms apart, then the close handshake"

    server_code = """
import asyncio, sys, websockets
async def echo(socket, path=None):
    async for message in socket:
        await socket.send(message)
async def main():
    async with websockets.serve(echo, "127.0.0.1", int(sys.argv[1])):
        await asyncio.Future()
asyncio.run(main())
"""
    client_code = """
import asyncio, sys, websockets
async def main():
    async with websockets.connect(f"ws://127.0.0.1:{sys.argv[1]}") as socket:
        for i in range(100):
            await socket.send(str(i))
            assert await socket.recv() == str(i)
            await asyncio.sleep(0.03)
    print("closed with", socket.close_code)
asyncio.run(main())
"""

    def start(self):
        need("websockets", "python3-websockets")
        port = free_port()
        return self.serve(PYTHON, "-c", self.server_code, str(port), port=port)

    def begin(self, port):
        return self.client(PYTHON, "-c", self.client_code, port)

    def judge(self, output):
        return None if output.strip() == "closed with 1000" else output.strip().splitlines()[-1]


class Rsync(Program):
    name = "rsync"
    command = "rsync -a --bwlimit=20000 TREE rsync://HOST/module/ (64 MiB)"

    def start(self):
        self.pushed, self.module = self.directory / "pushed", self.directory / "module"
        self.pushed.mkdir()
        self.module.mkdir()
        for i in range(self.many(64)):
            (self.pushed / str(i)).write_bytes(os.urandom(MEGABYTE))
        port = free_port()
        (self.directory / "rsyncd.conf").write_text(
            f"use chroot = no\nuid = {getpass.getuser()}\ngid = *\n[module]\npath = {self.module}\nread only = no\n")
        return self.serve(
            find("rsync", "rsync"), "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}",
            f"--config={self.directory / 'rsyncd.conf'}", "--log-file=/dev/null", port=port)

    def begin(self, port):
        shutil.rmtree(self.module)
        self.module.mkdir()
        return self.client(
            find("rsync", "rsync"), "-a", "--bwlimit=20000", f"{self.pushed}/", f"rsync://127.0.0.1:{port}/module/")

    def judge(self, output):
        return None if tree(self.pushed) == tree(self.module) else "the trees differ"


class Git(Program):
    name = "git"
    command = "git clone git://HOST/repository (64 MiB)"
    stop_after = 0.2

    def start(self):
        git = find("git", "git")
        self.served = self.directory / "served" / "repository"
        self.served.mkdir(parents=True)
        for i in range(self.many(64)):
            (self.served / str(i)).write_bytes(os.urandom(MEGABYTE))
        who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
        for arguments in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "All"], ["repack", "-a", "-d", "-q"]):
            subprocess.run([git, "-C", self.served, *arguments], check=True)
        port = free_port()
        return self.serve(
            git, "daemon", "--listen=127.0.0.1", f"--port={port}", f"--base-path={self.served.parent}", "--export-all", port=port)

    def begin(self, port):
        shutil.rmtree(self.directory / "cloned", ignore_errors=True)
        return self.client(find("git", "git"), "clone", "-q", f"git://127.0.0.1:{port}/repository", "cloned")

    def judge(self, output):
        return None if tree(self.served) == tree(self.directory / "cloned") else "the trees differ"


class RedisBenchmark(Program):
    name = "redis-benchmark"
    connections = 50
    command = "redis-benchmark -t set -n 100000 -c 50"

    def start(self):
        port = free_port()
        return self.serve(
            find("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", port=port,
            cwd=self.directory)

    def begin(self, port):
        # With -k 1, as it comes, each of the two tests opens connections of its own, which a relay that stops refuses.
        return self.client(find("redis-benchmark", "redis-tools"), "-p", port, "-t", "set", "-n", self.many(100000), "-c", 50, "-q")

    def judge(self, output):
        return None if "requests per second" in output and "Error" not in output else output.strip()[-80:]


PROGRAMS = [
    Ssh, Scp, Mosquitto, Psql, SilentPsql, Pgbench, Memcached, Smtp, H2load, WebSocket, Rsync, Git, RedisBenchmark,
]


def start_relay(kind, program, upstream, configuration):
    port, directory = free_port(), program.directory
    if kind == "haproxy":
        (directory / "haproxy.cfg").write_text(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 10m\n timeout server 10m\n"
            f"listen relay\n bind 127.0.0.1:{port}\n server upstream 127.0.0.1:{upstream}\n")
        arguments = [find("haproxy", "haproxy"), "-db", "-q", "-f", str(directory / "haproxy.cfg")]
    elif kind == "TcpProxy":
        assembly = ROOT / "samples/TcpProxy/bin" / configuration / "net10.0/TcpProxy.dll"
        arguments = ["dotnet", str(assembly), "--Proxy:Listen", f"127.0.0.1:{port}", "--Proxy:Connect", f"127.0.0.1:{upstream}"]
        arguments += program.proxy_options
    else:
        assembly = ROOT / "tests/GracefulConnections.Benchmarks/bin" / configuration / "net10.0/GracefulConnections.Benchmarks.dll"
        arguments = ["dotnet", str(assembly), "relay", f"127.0.0.1:{port}", f"127.0.0.1:{upstream}"]
    log = open(directory / f"{kind}.log", "ab")
    process = subprocess.Popen(arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=directory)
    try:
        wait_for_port(port, process)
    except RuntimeError as error:
        raise RuntimeError(f"{error} It said: {(directory / log.name).read_text()[-2000:]}") from None
    return process, port


def run(program, kind, upstream, stops, configuration):
    relay, port = (None, upstream) if kind == "direct" else start_relay(kind, program, upstream, configuration)
    try:
        began = time.monotonic()
        client = program.begin(port)
        if stops:
            # The upstream's too: a connection that a relay has not accepted yet is reset with its listening socket.
            while (min(count_connections(port), count_connections(upstream)) < program.connections
                    and client.poll() is None):
                time.sleep(0.01)
            time.sleep(0 if SHORT else program.stop_after)
            if client.poll() is not None:
                return f"**{TOO_EARLY}: {client.communicate()[0].strip()[-80:]}**"
            relay.send_signal(signal.SIGUSR1 if kind == "haproxy" else signal.SIGTERM)
        try:
            output, _ = client.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            client.kill()
            return f"**not done after {LIMIT} s**"
        took = time.monotonic() - began
        try:
            wrong = f"exit code {client.returncode}: {output.strip()[-120:]}" if client.returncode else program.judge(output)
        except OSError as error:
            wrong = str(error)
        if wrong:
            return f"**{' '.join(wrong.split())}**"
        if not stops:
            return f"{took:.1f} s"
        try:
            relay.wait(LIMIT)
        except subprocess.TimeoutExpired:
            return f"{took:.1f} s, **the relay goes on**"
        return f"{took:.1f} s, then exit in {time.monotonic() - began - took:.1f} s"
    finally:
        if relay is not None:
            end(relay)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names of programs, separated by commas")
    parser.add_argument("--configuration", default="Release")
    parser.add_argument("--relays", default="direct,stock,TcpProxy,haproxy", help="those to run, separated by commas")
    parser.add_argument("--short", action="store_true", help="an eighth of it, and the stop as soon as the connections are there")
    parser.add_argument("--stop-only", action="store_true", help="only with the stop in the middle")
    arguments = parser.parse_args()
    names = arguments.only.split(",") if arguments.only else [program.name for program in PROGRAMS]
    relays = arguments.relays.split(",")
    runs = [] if arguments.stop_only else [(relay, False) for relay in relays]
    runs += [(relay, True) for relay in relays if relay != "direct"]
    print(f"| program | {' | '.join(('stop: ' if stops else '') + relay for relay, stops in runs)} | command |")
    print("| --- |" + " --- |" * (len(runs) + 1), flush=True)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="relay-programs-") as directory:
        os.chmod(directory, 0o755)
        for kind in PROGRAMS:
            if kind.name not in names:
                continue
            for attempt in range(ATTEMPTS):
                program = kind(os.path.join(directory, f"{kind.name}.{attempt}"))
                program.factor *= 4 ** attempt
                try:
                    upstream = program.start()
                    cells = [run(program, relay, upstream, stops, arguments.configuration) for relay, stops in runs]
                finally:
                    program.close()
                if not any(TOO_EARLY in cell for cell in cells):
                    break
            failures += sum("**" in cell for cell, (relay, _) in zip(cells, runs) if relay == "TcpProxy")
            print(f"| {kind.name} | {' | '.join(cells)} | `{kind.command}` |", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
