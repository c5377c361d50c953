"""The container files, read as an engine would read them: https://docs.docker.com/reference/dockerfile/"""

import json
import pathlib
import re
import shlex
from io import BytesIO

import yaml
from dockerfile_parse import DockerfileParser

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKERFILES = ["docker/Dockerfile", "docker/Dockerfile.cuda"]
COMPOSE = "docker/compose.yaml"
READ = [*DOCKERFILES, COMPOSE, ".dockerignore", "Cargo.toml", "src/config.default.toml"]
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def read():
    """The text of each file by its path, so that a changed text can be judged too."""
    return {path: (ROOT / path).read_text() for path in READ}


class Image:
    """The final stage of a Dockerfile, as far as it decides how the program runs, and the stage that builds the program."""

    def __init__(self, text):
        self.stages = []
        for line in DockerfileParser(fileobj=BytesIO(text.encode())).structure:
            if line["instruction"] == "FROM":
                self.stages.append([])
            if self.stages and line["instruction"] != "COMMENT":
                self.stages[-1].append((line["instruction"], line["value"]))
        last = self.stages[-1]
        self.bases = [stage[0][1].split()[0] for stage in self.stages]
        self.base = self.bases[-1]
        self.user, self.folder, self.volume = value(last, "USER"), value(last, "WORKDIR"), value(last, "VOLUME")
        self.command = json.loads(value(last, "ENTRYPOINT")) + json.loads(value(last, "CMD"))
        self.probe = json.loads(value(last, "HEALTHCHECK").split("CMD ", 1)[1])
        self.variables = dict(word.split("=", 1) for text in values(last, "ENV") for word in shlex.split(text))
        copies = [text.split() for text in values(last, "COPY")]
        # Target by source, both as they are written.
        self.copies = dict(copy for copy in copies if len(copy) == 2)
        [(self.built_by, self.program, self.installed)] = [copy for copy in copies if copy[0].startswith("--from=")]
        self.runs = commands(last)

    def packages(self):
        """Those of the system that are added."""
        added = [run[2:] for run in self.runs if run[:2] == ["apt-get", "install"]]
        return [word for words in added for word in words if not word.startswith("-")]

    def volume_made(self):
        """`uid:gid` and mode of the volume's folder, as a RUN line makes it."""
        for run in self.runs:
            if run[0] == "install" and "--directory" in run and run[-1] == self.volume:
                options = dict(word[2:].split("=", 1) for word in run if "=" in word)
                return f"{options.get('owner')}:{options.get('group')}", options.get("mode")
        return None

    def build(self):
        """The stage that the program is copied from: its base, cargo's options by name, the target folder, what is copied into it."""
        name = self.built_by.removeprefix("--from=")
        stage = next(stage for stage in self.stages if stage[0][1].endswith(f" AS {name}"))
        cargo = next(run for run in commands(stage) if run[:2] == ["cargo", "build"])
        options = dict(zip(cargo, [*cargo[1:], ""]))
        sources = [text.split()[0] for text in values(stage, "COPY") if not text.startswith("--from=")]
        return stage[0][1].split()[0], options, f"{value(stage, 'WORKDIR')}/target", sources


def values(stage, instruction):
    return [text for name, text in stage if name == instruction]


def value(stage, instruction):
    return (values(stage, instruction) or [""])[-1]


def commands(stage):
    return [shlex.split(one) for text in values(stage, "RUN") for one in text.split("&&")]


def services(text):
    return yaml.safe_load(text)["services"]


def substituted(text, **given):
    """What compose makes of `${NAME:-default}` where these variables are set and no others."""
    return re.sub(r"\$\{(\w+):-(.*?)\}", lambda m: given.get(m[1], m[2]), str(text))


def size(text):
    """Bytes of `64m`; 0 where it is no size."""
    found = re.fullmatch(r"(\d+)([kmg]?)b?", str(text).lower())
    return int(found[1]) * SIZES[found[2]] if found else 0


def tmpfs(service):
    """Bytes and mode of each temporary folder by its path."""
    mounts = {}
    for mount in service.get("tmpfs", []):
        path, _, options = mount.partition(":")
        options = dict(option.split("=", 1) for option in options.split(",") if "=" in option)
        mounts[path] = (size(options.get("size")), options.get("mode"))
    return mounts


def left_out(path, patterns):
    """Whether .dockerignore keeps a file out: https://docs.docker.com/build/concepts/context/#dockerignore-files"""
    above = [path, *(str(parent) for parent in pathlib.PurePosixPath(path).parents if str(parent) != ".")]
    out = False
    for line in patterns.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        again, pattern = pattern.startswith("!"), pattern.lstrip("!").strip("/").removeprefix("./")
        words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        expression = re.sub(r"\*\*/|\*\*|\*|\?|[^*?]+", lambda m: words.get(m[0]) or re.escape(m[0]), pattern)
        if any(re.fullmatch(expression, one) for one in above):
            out = not again
    return out
