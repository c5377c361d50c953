"""Runs curbside as docker/Dockerfile and docker/compose.yaml say, in a minimal Debian root, and checks what they promise.

The files are linted first, those for a GPU too; these are not run, and nothing is built here: the program is given. Then the final stage of the Dockerfile is laid out in a root made by mmdebstrap, and the service
`curbside` of the compose file is started in it with the user, the variables, the mounts and the command of the two files:
read-only, no capabilities, an ordinary user, its own process space, the host's network. No container engine is needed;
mmdebstrap, bubblewrap and setpriv are, and root to start as somebody else.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import yaml
from dockerfile_parse import DockerfileParser

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
SUITE = "bookworm"
PATIENT = "media-film"


def say(text):
    print(text, flush=True)


def lint():
    bin = pathlib.Path(sys.executable).parent
    subprocess.run([bin / "hadolint", DOCKER / "Dockerfile", DOCKER / "Dockerfile.cuda"], check=True)
    subprocess.run(
        [bin / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml"], check=True
    )
    say("lint: no finding in the Dockerfiles, and the compose file is of the compose specification")


class Image:
    """The final stage of a Dockerfile, as far as it decides how the program runs."""

    def __init__(self, path):
        parser = DockerfileParser(fileobj=open(path, "rb"))
        lines = parser.structure
        last = max(n for n, line in enumerate(lines) if line["instruction"] == "FROM")
        self.base = lines[last]["value"]
        stage = [(line["instruction"], line["value"]) for line in lines[last:]]
        one = lambda name: [value for instruction, value in stage if instruction == name][-1]
        self.user = one("USER")
        self.folder = one("WORKDIR")
        self.volume = one("VOLUME")
        self.command = json.loads(one("ENTRYPOINT")) + json.loads(one("CMD"))
        self.variables = dict(
            word.split("=", 1) for instruction, value in stage if instruction == "ENV" for word in value.split()
        )
        self.copies = [value.split() for instruction, value in stage if instruction == "COPY"]


def minimal_root(cache):
    """A Debian root as the base image has it: made once, and then only copied."""
    kept = cache / f"{SUITE}.tar"
    if not kept.exists():
        say(f"making a minimal {SUITE} root, once ...")
        part = kept.with_suffix(".part.tar")
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", SUITE, part],
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
    for source, target in [copy[-2:] for copy in image.copies]:
        built = next((copy for copy in image.copies if copy[-2:] == [source, target] and copy[0].startswith("--from")), None)
        target = root / target.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if built:
            shutil.copy2(binary, target)
        else:
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [image.volume, "/models", "/etc/curbside.toml"]:
        place = root / folder.lstrip("/")
        place.touch() if place.suffix else place.mkdir(parents=True, exist_ok=True)


class Sandbox:
    """Starts commands as the compose file's service would."""

    def __init__(self, image, service, root, data, models, config):
        user = service["user"].split(":")[0]
        assert service["network_mode"] == "host" and service["read_only"] and service["cap_drop"] == ["ALL"]
        assert image.user == service["user"] and user not in ("0", "root"), "an ordinary user"
        mounts = [volume.split(":") for volume in service["volumes"]]
        assert ["./models", "/models", "ro"] in mounts and ["data", image.volume] in mounts, mounts
        self.variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", **image.variables, **service["environment"]}
        bwrap = ["bwrap", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--clearenv", "--cap-drop", "ALL"]
        bwrap += ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent"]
        bwrap += ["--ro-bind", models, "/models", "--bind", data, image.volume, "--ro-bind", config, "/etc/curbside.toml"]
        bwrap += [word for mount in service["tmpfs"] for word in ("--tmpfs", mount.split(":")[0])]
        self.start_as = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", *bwrap]
        self.folder = image.folder

    def command(self, words, **more):
        variables = [w for name, value in (self.variables | more).items() for w in ("--setenv", name, value)]
        return [str(w) for w in [*self.start_as, *variables, "--chdir", self.folder, "--", *words]]

    def run(self, words, **more):
        return subprocess.run(self.command(words, **more), capture_output=True, text=True, timeout=60)


def default(value):
    """What compose makes of `${NAME:-default}` where NAME is not set."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)


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
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


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


def prove(binary, cache, port):
    image = Image(DOCKER / "Dockerfile")
    service = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["curbside"]
    assert image.base.startswith(f"debian:{SUITE}"), f"the root is of {SUITE}, the image of {image.base}"
    kept = minimal_root(cache)
    work = pathlib.Path(tempfile.mkdtemp(prefix="curbside-container-"))
    os.chmod(work, 0o755)
    try:
        root, data, models = work / "root", work / "data", work / "models"
        lay_out(image, binary, kept, root)
        data.mkdir(mode=0o700)
        uid, gid = (int(part) for part in image.user.split(":"))
        os.chown(data, uid, gid)
        shutil.copytree(ROOT / "fixtures" / "model", models / "demonstration")
        config = work / "curbside.toml"
        sample = (ROOT / "fixtures" / "serve.toml").read_text().split("[engine]")[0]
        config.write_text(sample.replace("8081", str(port + 2)).replace("8082", str(port + 3)))
        sandbox = Sandbox(image, service, root, data, models, config)
        sandbox.variables |= {
            "CURBSIDE_LISTEN": f"127.0.0.1:{port}",
            "CURBSIDE_CONFIG": "/etc/curbside.toml",
            "MODEL_PATH": "/models/demonstration",
        }
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
    probe = service["healthcheck"]["test"][1:]
    ready = lambda: sandbox.run(probe).returncode == 0
    check("the readiness probe fails while nothing runs", not ready())
    for words, refused in [(["touch", "/written"], True), (["touch", "/models/written"], True), (["touch", "/tmp/written"], False)]:
        done = sandbox.run(words)
        check(f"{' '.join(words)} is {'refused' if refused else 'possible'}", (done.returncode != 0) == refused, done.stderr)
    with started(sandbox.command(image.command), work / "server.log") as process:
        wait_until("readiness", ready, said=lambda: sandbox.run(probe).stdout)
        check("the readiness probe succeeds once the model in the read-only mount is loaded", True)
        check("the liveness probe succeeds", sandbox.run(["curbside", "probe", "livez"]).returncode == 0)
        uids = {int(line.split()[1]) for pid in children(process.pid) for line in open(f"/proc/{pid}/status") if line.startswith("Uid:")}
        check(f"every process of it runs as {uid}", uids == {uid}, uids)
        request = (ROOT / "fixtures" / "patients" / PATIENT / "request.json").read_text()
        request = request.replace("{{fhir}}", f"http://127.0.0.1:{port + 2}/fhir")
        answer = get(f"{base}/cds-services/imaging-draft-report", request.encode())
        drafts = get(f"{base}/fhir/DiagnosticReport?patient={PATIENT}")
        check("an order is answered and its draft kept, its picture decoded in a process of its own", drafts["total"] == 1, answer)
        check("the cards say something", answer["cards"] and answer["cards"][0]["summary"])
    # bubblewrap's first process ends as the server does.
    check("it stops on SIGTERM", process.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM), process.returncode)
    # The second time with the model that the compose file names where nobody names another.
    with started(sandbox.command(image.command, MODEL_PATH=default(service["environment"]["MODEL_PATH"])), work / "server.log"):
        wait_until("readiness after a new start", ready)
        again = get(f"{base}/fhir/DiagnosticReport?patient={PATIENT}")
        check("a new container over the same volume has the draft", again["total"] == 1)
    check("nothing lies in the volume but the database", {f.name.split(".")[0] for f in data.iterdir()} == {"curbside"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path, help="the program, as the Dockerfile's build stage would give it")
    parser.add_argument("--port", type=int, default=18180, help="first of four free ports (default 18180)")
    parser.add_argument("--cache", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    lint()
    for tool in ["mmdebstrap", "bwrap", "setpriv"]:
        shutil.which(tool) or sys.exit(f"{tool} is missing: apt-get install mmdebstrap bubblewrap util-linux")
    os.geteuid() == 0 or sys.exit("root is needed to start the server as the image's user")
    options.cache.mkdir(parents=True, exist_ok=True)
    prove(options.binary.resolve(), options.cache, options.port)
    say("The container files do what they promise.")


main()
