"""What must hold of the container files for an image to be built from them and to run as the compose file promises."""

import functools
import re
import tomllib

from files import COMPOSE, DOCKERFILES, ROOT, Image, left_out, services, size, substituted, tmpfs

PROBES = [["curbside", "probe", "livez"], ["curbside", "probe", "readyz"]]
# What cargo builds from, beside the file of every target that Cargo.toml names.
BUILT_FROM = ["Cargo.toml", "Cargo.lock", ".cargo", "src", "cds-hooks"]
KEPT_OUT = [".git/config", "target/release/curbside", "docker/models/medgemma/model.safetensors"]
# Each takes off a part of the container's walls, or starts something else in it.
NOT_USED = {
    "privileged", "cap_add", "devices", "pid", "ipc", "uts", "cgroup", "userns_mode", "group_add", "volumes_from",
    "ports", "command", "entrypoint",
}
# Two films decoded at once, the films and answers that may be held, and as much again for the rest.
LEAST_MEMORY = 3 << 30
GPU = [{"driver": "nvidia", "device_ids": ["${CUDA_VISIBLE_DEVICES:-0}"], "capabilities": ["gpu"]}]


def judged(texts):
    """Every rule with what is found against it, None where it holds; a rule is named by its file or service and a sentence."""
    results = {}

    def rules_of(name):
        def must(rule, holds, seen=None):
            results[f"{name}: {rule}"] = None if holds else f"{name}: {rule}; it is {seen!r}"

        return must

    cargo = tomllib.loads(texts["Cargo.toml"])
    keys = configuration(texts["src/config.default.toml"])
    images = {path: Image(texts[path]) for path in DOCKERFILES}
    for path, image in images.items():
        of_building(rules_of(path), image, cargo)
        of_context(rules_of(f".dockerignore for {path}"), image, cargo, texts[".dockerignore"])
        of_running(rules_of(path), image, keys)
    for path in KEPT_OUT:
        rules_of(".dockerignore")(f"{path} is kept out", left_out(path, texts[".dockerignore"]), "let in")
    for name, service in services(texts[COMPOSE]).items():
        build = service["build"]
        rules_of(name)("it is built from the repository's root", build["context"] == "..", build)
        of_walls(rules_of(name), service, images[build["dockerfile"]])
        of_service(rules_of(name), service, images[build["dockerfile"]], keys)
        of_bounds(rules_of(name), service, tomllib.loads(texts["src/config.default.toml"])["http"]["drain_ms"])
    used = [service["build"]["dockerfile"] for service in services(texts[COMPOSE]).values()]
    rules_of(COMPOSE)("each Dockerfile has a service", sorted(used) == DOCKERFILES, used)
    return results


def of_building(must, image, cargo):
    base, options, target, sources = image.build()
    features = options.get("--features", "default").split(",")
    built = f"{target}/{options.get('--profile')}/curbside"
    version = cargo["package"]["rust-version"]
    # The same C library, and for GPUs the same CUDA.
    system = re.search(r"bookworm|cuda:.*-(?=runtime)", image.base)
    must("its profile is in Cargo.toml", options.get("--profile") in cargo["profile"], options)
    must("its features are in Cargo.toml", set(features) <= cargo["features"].keys(), features)
    must("dependencies are those of Cargo.lock", "--locked" in options, options)
    must("Rust is of the version Cargo.toml asks for", f"rust:{version}-bookworm" in image.bases, image.bases)
    must("it is built on the system it runs on", system and system[0] in base, image.bases)
    must("everything is copied to where it is built", sources == ["."], sources)
    must("what is installed is what was built", image.program == built, image.program)
    must("it is installed where it is found by its name", image.installed == "/usr/local/bin/curbside", image.installed)


def of_context(must, image, cargo, patterns):
    targets = [target["path"] for kind in ["bin", "test", "bench"] for target in cargo[kind]]
    for name in [*BUILT_FROM, *targets, *image.copies]:
        files = files_of(name)
        missing = [file for file in files if left_out(file, patterns)]
        must(f"{name} is let in", files and not missing, missing[:3])


def of_running(must, image, keys):
    by_gpu = [image.base.startswith("nvidia/cuda:"), "cuda" in image.build()[1].get("--features", "")]
    by_gpu.append(image.variables.get("CURBSIDE_ENGINE_DEVICE") == "cuda")
    must("USER is an ordinary one, by number", re.fullmatch(r"[1-9]\d*:[1-9]\d*", image.user), image.user)
    must("HEALTHCHECK is a probe", image.probe in PROBES, image.probe)
    must("the program is started to serve", image.command == ["curbside", "serve"], image.command)
    must("certificates of authorities are there", "ca-certificates" in image.packages(), image.packages())
    must("the volume's folder is the user's alone", image.volume_made() == (image.user, "0700"), image.volume_made())
    must("the store lies in the volume", in_volume(image.variables, image), image.variables)
    must("its variables configure something", image.variables.keys() <= keys, image.variables)
    must("base, feature and device are all for a GPU or none is", len(set(by_gpu)) == 1, by_gpu)


def of_walls(must, service, image):
    must("the user is the image's", service.get("user") == image.user, service.get("user"))
    must("the root is read-only", service.get("read_only") is True, service.get("read_only"))
    must("it has no capabilities", service.get("cap_drop") == ["ALL"], service.get("cap_drop"))
    options = service.get("security_opt")
    must("it gains no privileges, and keeps Docker's own walls", options == ["no-new-privileges:true"], options)
    must("nothing is used that lets more in", not NOT_USED & service.keys(), sorted(NOT_USED & service.keys()))
    mounts = [f"data:{image.volume}", "./models:/models:ro"]
    must("volume and models are mounted, these read-only", service.get("volumes") == mounts, service.get("volumes"))
    must("the network is the host's", service.get("network_mode") == "host", service.get("network_mode"))
    listen = service["environment"].get("CURBSIDE_LISTEN")
    must("it listens on 127.0.0.1", re.fullmatch(r"127\.0\.0\.1:\d+", str(listen)), listen)


def of_service(must, service, image, keys):
    environment, probe = service["environment"], service.get("healthcheck", {}).get("test")
    must("its healthcheck is a probe", probe in [["CMD", *probe] for probe in PROBES], probe)
    must("its variables configure something", environment.keys() <= keys, environment)
    must("the store lies in the volume", in_volume(image.variables | environment, image), environment)
    named = environment.get("MODEL_PATH")
    must("MODEL_PATH names the model", substituted(named, MODEL_PATH="/given") == "/given", named)
    model = substituted(named)
    bundled = [ROOT / model.replace(target, source) for source, target in image.copies.items() if model.startswith(target)]
    there = model.startswith("/models/") or any((folder / "config.json").is_file() for folder in bundled)
    must("without MODEL_PATH the model is a mounted or a bundled one", there, model)
    devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    must("it has the one GPU that CUDA_VISIBLE_DEVICES names, or none", devices == (GPU if "cuda" in image.base else []), devices)
    must("it is built, never pulled", service.get("pull_policy") == "build", service.get("pull_policy"))
    must("its name is in no registry", str(service.get("image")).startswith("localhost/curbside:"), service.get("image"))


def of_bounds(must, service, drain_ms):
    grace = re.fullmatch(r"(\d+)s", service.get("stop_grace_period", "10s"))
    must("it is stopped later than http.drain_ms", int(grace[1]) * 1000 > drain_ms, grace[0])
    folders = {path: 16 << 20 <= room <= 1 << 30 and mode == "1777" for path, (room, mode) in tmpfs(service).items()}
    must("/tmp alone is in memory, 16 MiB to 1 GiB, for everybody", folders == {"/tmp": True}, service.get("tmpfs"))
    must("processes are bounded", 256 <= service.get("pids_limit", 0) <= 4096, service.get("pids_limit"))
    memory = service.get("mem_limit")
    must("memory is bounded", size(substituted(memory)) >= LEAST_MEMORY, memory)
    must("processors are bounded", float(substituted(service.get("cpus", 0))) > 0, service.get("cpus"))
    logging = service.get("logging", {})
    rotated = logging.get("driver") == "json-file" and logging.get("options", {}).keys() == {"max-size", "max-file"}
    must("logs are bounded", rotated, logging)


@functools.cache
def files_of(name):
    """The file of that name, or all files of the folder, as paths in the repository."""
    place = ROOT / name
    files = [file for file in [place, *place.rglob("*")] if file.is_file() and "__pycache__" not in file.parts]
    return [str(file.relative_to(ROOT)) for file in files]


def in_volume(variables, image):
    return variables.get("CURBSIDE_STORE_PATH", "").startswith(f"{image.volume}/")


def configuration(text):
    """The variables that configure curbside."""
    section, names = "", {"CURBSIDE_CONFIG", "MODEL_PATH"}
    for line in text.splitlines():
        if header := re.match(r"\[(\w+)\]", line):
            section = f"{header[1]}_"
        elif key := re.match(r"#?(\w+) = ", line):
            names.add(f"CURBSIDE_{section}{key[1]}".upper())
    return names
