"""Runs curbside as docker/Dockerfile and docker/compose.yaml say, in a minimal Debian root, and checks what they promise.

All files are linted and held to rules.py first. Then the final stage of the Dockerfile is laid out in a root made by
mmdebstrap, and the service `curbside` of the compose file is started in it with the user, the packages, the variables, the
mounts, the probes and the command of the two files: read-only, no capabilities, an ordinary user, its own process space,
the host's network. No container engine is needed; mmdebstrap, bubblewrap and setpriv are, and root to start as somebody
else. Nothing is built: the program is given. What is for GPUs is read and not run.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import files
import rules
import spoilt
from files import COMPOSE, DOCKERFILES, ROOT

SUITE = "bookworm"
PATIENT = "media-film"


def say(text):
    print(text, flush=True)


def lint():
    bin = pathlib.Path(sys.executable).parent
    subprocess.run([bin / "hadolint", *DOCKERFILES], check=True, cwd=ROOT)
    subprocess.run([bin / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE], check=True, cwd=ROOT)
    say("lint: no finding in the Dockerfiles, and the compose file is of the compose specification")


def hold_to_rules(texts):
    results = rules.judged(texts)
    found = [told for told in results.values() if told] or spoilt.missed(texts)
    if found:
        sys.exit("\n".join(f"FAILED: {told}" for told in found))
    ways = len(list(spoilt.ways(texts)))
    say(f"ok: {len(results)} rules hold of the files, and each finds what is spoilt, in {ways} ways")


def minimal_root(cache, packages):
    """A Debian root as the base image has it, with the packages that are added: made once, and then only copied."""
    kept = cache / f"{'+'.join([SUITE, *packages])}.tar"
    if not kept.exists():
        say(f"making a minimal {SUITE} root, once ...")
        part = kept.with_suffix(".part.tar")
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", SUITE, part],
            stdout=subprocess.DEVNULL,
        )
        if made.returncode:
            sys.exit("mmdebstrap could not make the root: see above")
        part.rename(kept)
    return kept


def lay_out(image, binary, kept, root):
    """What the Dockerfile's COPY and RUN lines leave in the image."""
    root.mkdir()
    subprocess.run(["tar", "--extract", "--file", kept, "--directory", root, "--exclude=./dev/*"], check=True)
    program = root / image.installed.lstrip("/")
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(binary, program)
    for source, target in image.copies.items():
        shutil.copytree(ROOT / source, root / target.lstrip("/"), ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [image.volume, "/models", "/etc/curbside.toml"]:
        place = root / folder.lstrip("/")
        place.touch() if place.suffix else place.mkdir(parents=True, exist_ok=True)


class Sandbox:
    """Starts commands as the compose file's service would."""

    def __init__(self, image, service, root, data, models, config):
        uid, gid = service["user"].split(":")
        self.variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", **image.variables, **service["environment"]}
        bwrap = ["bwrap", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--clearenv", "--cap-drop", "ALL"]
        # The server is the first process of its space, as in a container.
        bwrap += ["--as-pid-1", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent"]
        bwrap += ["--ro-bind", models, "/models", "--bind", data, image.volume, "--ro-bind", config, "/etc/curbside.toml"]
        for folder, (size, mode) in files.tmpfs(service).items():
            bwrap += ["--perms", mode, "--size", size, "--tmpfs", folder]
        self.start_as = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs", *bwrap]
        self.folder = image.folder

    def command(self, words, **more):
        variables = [w for name, value in (self.variables | more).items() for w in ("--setenv", name, value)]
        return [str(w) for w in [*self.start_as, *variables, "--chdir", self.folder, "--", *words]]

    def run(self, words, **more):
        return subprocess.run(self.command(words, **more), capture_output=True, text=True, timeout=60)


def get(url, body=None):
    headers = {"Content-Type": "application/json"} if body else {}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
        return json.load(answer)


@contextlib.contextmanager
def started(command, log):
    with open(log, "ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def stop(process, seconds):
    """As `docker stop` does: SIGTERM to the server itself, and its exit code, None where it goes on beyond its time."""
    [server] = [pid for pid in children(process.pid) if pathlib.Path(f"/proc/{pid}/comm").read_text() == "curbside\n"]
    os.kill(server, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(seconds)


def wait_until(what, holds, seconds=60, said=lambda: ""):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"FAILED: {what} did not come within {seconds} s {said()}")
        time.sleep(0.2)


def listening(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        return True
    return False


def children(pid):
    listed = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed] + [c for child in listed for c in children(child)]


def check(name, holds, seen=""):
    if not holds:
        sys.exit(f"FAILED: {name} {seen}")
    say(f"ok: {name}")


def prove(texts, binary, cache, port):
    image = files.Image(texts[DOCKERFILES[0]])
    service = files.services(texts[COMPOSE])["curbside"]
    check(f"the root is of {SUITE} as the image is", image.base == f"debian:{SUITE}-slim", image.base)
    kept = minimal_root(cache, image.packages())
    work = pathlib.Path(tempfile.mkdtemp(prefix="curbside-container-"))
    os.chmod(work, 0o755)
    try:
        root, data, models = work / "root", work / "data", work / "models"
        lay_out(image, binary, kept, root)
        owner, mode = image.volume_made()
        uid, gid = (int(part) for part in owner.split(":"))
        data.mkdir(mode=int(mode, 8))
        os.chown(data, uid, gid)
        shutil.copytree(ROOT / "fixtures" / "model", models / "demonstration")
        config = work / "curbside.toml"
        sample = (ROOT / "fixtures" / "serve.toml").read_text().split("[engine]")[0]
        config.write_text(sample.replace("8081", str(port + 2)).replace("8082", str(port + 3)))
        sandbox = Sandbox(image, service, root, data, models, config)
        # As the compose file's comment says, and on a port that is free here.
        sandbox.variables["CURBSIDE_CONFIG"] = "/etc/curbside.toml"
        sandbox.variables["CURBSIDE_LISTEN"] = sandbox.variables["CURBSIDE_LISTEN"].replace("8080", str(port))
        hospital = [str(binary), "demo", "--ehr-only", "--port", str(port + 1), "--fixtures", str(ROOT / "fixtures")]
        with started(hospital, work / "hospital.log"):
            wait_until("the demonstration's EHR", lambda: listening(port + 2))
            exercise(image, service, sandbox, work, data, port, uid)
    except BaseException:
        for log in sorted(work.glob("*.log")):
            say(f"--- {log.name}\n" + log.read_text(errors="replace")[:2000])
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def exercise(image, service, sandbox, work, data, port, uid):
    base = f"http://127.0.0.1:{port}"
    log = work / "server.log"
    model = service["environment"]["MODEL_PATH"]
    mounted = {"MODEL_PATH": files.substituted(model, MODEL_PATH="/models/demonstration")}
    bundled = {"MODEL_PATH": files.substituted(model)}
    probe = service["healthcheck"]["test"][1:]
    ready = lambda: sandbox.run(probe).returncode == 0
    check("the readiness probe fails while nothing runs", not ready())
    for words, refused in [(["touch", "/written"], True), (["touch", "/models/written"], True), (["touch", "/tmp/written"], False)]:
        done = sandbox.run(words)
        check(f"{' '.join(words)} is {'refused' if refused else 'possible'}", (done.returncode != 0) == refused, done.stderr)
    check("authorities that vouch for an EHR are there", sandbox.run(["test", "-s", "/etc/ssl/certs/ca-certificates.crt"]).returncode == 0)
    with started(sandbox.command(image.command, **mounted), log) as process:
        wait_until("readiness", ready, said=lambda: sandbox.run(probe).stdout)
        check("the readiness probe succeeds once the model in the read-only mount is loaded", True)
        check("the image's own probe succeeds", sandbox.run(image.probe).returncode == 0)
        uids = {int(line.split()[1]) for pid in children(process.pid) for line in open(f"/proc/{pid}/status") if line.startswith("Uid:")}
        check(f"every process of it runs as {uid}", uids == {uid}, uids)
        request = (ROOT / "fixtures" / "patients" / PATIENT / "request.json").read_text()
        request = request.replace("{{fhir}}", f"http://127.0.0.1:{port + 2}/fhir")
        answer = get(f"{base}/cds-services/imaging-draft-report", request.encode())
        drafts = get(f"{base}/fhir/DiagnosticReport?patient={PATIENT}")
        check("an order is answered and its draft kept, its picture decoded in a process of its own", drafts["total"] == 1, answer)
        check("the cards say something", answer["cards"] and answer["cards"][0]["summary"])
        grace = int(service["stop_grace_period"].removesuffix("s"))
        code = stop(process, grace)
        check("it stops on SIGTERM with exit code 0", code == 0, code)
    check("its last words are that it stopped", '"stopped"' in (log.read_text().splitlines() or [""])[-1])
    left = sorted(file.name for file in data.iterdir())
    check("nothing lies in the volume but the database, all of it in one file", left == ["curbside.db"], left)
    with started(sandbox.command(image.command, **bundled), log):
        wait_until("readiness after a new start", ready)
        again = get(f"{base}/fhir/DiagnosticReport?patient={PATIENT}")
        check("a new container over the same volume, with the model that is in the image, has the draft", again["total"] == 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path, help="the program, as the Dockerfile's build stage would give it")
    parser.add_argument("--port", type=int, default=18180, help="first of four free ports (default 18180)")
    parser.add_argument("--cache", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    lint()
    texts = files.read()
    hold_to_rules(texts)
    for tool in ["mmdebstrap", "bwrap", "setpriv"]:
        shutil.which(tool) or sys.exit(f"{tool} is missing: apt-get install mmdebstrap bubblewrap util-linux")
    os.geteuid() == 0 or sys.exit("root is needed to start the server as the image's user")
    options.cache.mkdir(parents=True, exist_ok=True)
    prove(texts, options.binary.resolve(), options.cache, options.port)
    say(
        "The container files do what they promise, as far as was looked: no image was built, the limits of memory, processors, "
        "processes and logs were read and not tried, and the image and the service for GPUs were read and not run."
    )


main()
