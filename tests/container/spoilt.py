"""Container files spoilt in one way each, to see that every rule can fail."""

from files import COMPOSE, DOCKERFILES
from rules import judged

# Of each, what is exchanged for what, and the rule that must find it.
IN_DOCKERFILES = [
    ("--profile dist", "--profile nonesuch", "its profile is in Cargo.toml"),
    (" --locked", "", "dependencies are those of Cargo.lock"),
    ("rust:1.95", "rust:1.70", "Rust is of the version Cargo.toml asks for"),
    ("COPY . .", "COPY src src", "everything is copied to where it is built"),
    ("/build/target/dist/curbside", "/build/target/release/curbside", "what is installed is what was built"),
    ("/usr/local/bin/curbside", "/opt/curbside", "it is installed where it is found by its name"),
    ("USER 65532:65532", "USER 0:0", "USER is an ordinary one, by number"),
    ('"probe", "livez"', '"prob", "livezz"', "HEALTHCHECK is a probe"),
    ('CMD ["serve"]', 'CMD ["demo"]', "the program is started to serve"),
    (" ca-certificates", " curl", "certificates of authorities are there"),
    ("--owner=65532", "--owner=0", "the volume's folder is the user's alone"),
    ("CURBSIDE_STORE_PATH=/var/lib/curbside/", "CURBSIDE_STORE_PATH=/nowhere/", "the store lies in the volume"),
    ("ENV CURBSIDE_STORE_PATH", "ENV CURBSIDE_STORE=x CURBSIDE_STORE_PATH", "its variables configure something"),
]
IN_COMPOSE = [
    ("context: ..", "context: .", "it is built from the repository's root"),
    ('user: "65532:65532"', 'user: "0:0"', "the user is the image's"),
    ("read_only: true", "read_only: false", "the root is read-only"),
    ("cap_drop: [ALL]", "cap_drop: [CHOWN]", "it has no capabilities"),
    ("no-new-privileges:true", "seccomp:unconfined", "it gains no privileges, and keeps Docker's own walls"),
    ("  read_only: true", "  read_only: true\n  privileged: true", "nothing is used that lets more in"),
    ("  read_only: true", '  read_only: true\n  ports: ["8080:8080"]', "nothing is used that lets more in"),
    ("/models:ro", "/models", "volume and models are mounted, these read-only"),
    ("network_mode: host", "network_mode: bridge", "the network is the host's"),
    ("127.0.0.1:8080\n", "0.0.0.0:8080\n", "it listens on 127.0.0.1"),
    ('"probe", "readyz"', '"probe", "healthz"', "its healthcheck is a probe"),
    ("CURBSIDE_INTENDED_USE", "CURBSIDE_PURPOSE", "its variables configure something"),
    ("CURBSIDE_INTENDED_USE: research", "CURBSIDE_STORE_PATH: /tmp/x.db", "the store lies in the volume"),
    ("MODEL_PATH: ${MODEL_PATH:-", "MODEL_PATH: ${MODEL:-", "MODEL_PATH names the model"),
    (":-/", ":-/nowhere/", "without MODEL_PATH the model is a mounted or a bundled one"),
    ("pull_policy: build", "pull_policy: always", "it is built, never pulled"),
    ("image: localhost/", "image: ", "its name is in no registry"),
    ("stop_grace_period: 30s", "stop_grace_period: 25s", "it is stopped later than http.drain_ms"),
    ("size=64m", "size=1", "/tmp alone is in memory, 16 MiB to 1 GiB, for everybody"),
    ("pids_limit: 1024", "pids_limit: 20", "processes are bounded"),
    ("mem_limit: ${MEMORY_LIMIT:-", "# ", "memory is bounded"),
    ("cpus: ", "# ", "processors are bounded"),
    ("max-size: 10m, ", "", "logs are bounded"),
]


def ways(texts):
    """File, text, text instead of it, and the names of the rules that must find it."""
    for path in DOCKERFILES:
        for old, new, rule in IN_DOCKERFILES:
            yield path, old, new, [f"{path}: {rule}"]
    yield DOCKERFILES[0], "debian:bookworm", "debian:buster", [f"{DOCKERFILES[0]}: it is built on the system it runs on"]
    yield DOCKERFILES[1], "13.0.1-runtime", "99.9.9-runtime", [f"{DOCKERFILES[1]}: it is built on the system it runs on"]
    features = "its features are in Cargo.toml"
    yield DOCKERFILES[0], "--locked", "--locked --features cudda", [f"{DOCKERFILES[0]}: {features}"]
    yield DOCKERFILES[1], "--features cuda", "--features cudda", [f"{DOCKERFILES[1]}: {features}"]
    device = "base, feature and device are all for a GPU or none is"
    yield DOCKERFILES[0], "ENV ", "ENV CURBSIDE_ENGINE_DEVICE=cuda ", [f"{DOCKERFILES[0]}: {device}"]
    yield DOCKERFILES[1], " CURBSIDE_ENGINE_DEVICE=cuda", "", [f"{DOCKERFILES[1]}: {device}"]
    yield DOCKERFILES[1], " --features cuda", "", [f"{DOCKERFILES[1]}: {device}"]
    names = ["curbside", "medgemma-api"]
    for old, new, rule in IN_COMPOSE:
        yield COMPOSE, old, new, [f"{name}: {rule}" for name in names]
    gpu = "it has the one GPU that CUDA_VISIBLE_DEVICES names, or none"
    yield COMPOSE, '"${CUDA_VISIBLE_DEVICES:-0}"', "all", [f"medgemma-api: {gpu}"]
    yield COMPOSE, "docker/Dockerfile }", "docker/Dockerfile.cuda }", [f"{COMPOSE}: each Dockerfile has a service", f"curbside: {gpu}"]
    for old in [".git", "target", "docker/models"]:
        rule = next(rule for rule in judged(texts) if rule.startswith(f".dockerignore: {old}"))
        yield ".dockerignore", old, "nothing", [rule]
    yield ".dockerignore", "target", "*", [rule for rule in judged(texts) if rule.endswith(" is let in")]


def missed(texts):
    """One sentence for each way that is not found, and for each rule that no way breaks."""
    told, broken = [], set()
    for path, old, new, rules in ways(texts):
        found = judged(texts | {path: texts[path].replace(old, new)})
        told += [f"{path} with {new!r} for {old!r} is not found by {rule!r}" for rule in rules if not found.get(rule)]
        broken |= set(rules)
    return told + [f"{rule!r} was never broken" for rule in judged(texts) if rule not in broken]
