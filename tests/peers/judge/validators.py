"""Three validators that know nothing of each other, and our own rules, over every resource curbside stores."""

import collections
import contextlib
import io
import json
import subprocess

from . import install, rules
from .broken import FOUND_BY_MEDPLUM, FOUND_BY_PYFHIRCHECK, broken, pages_never_ours, sound_but_never_ours
from .hospital import FHIR_JSON
from .tally import Missing
from .web import ask


def hl7(files):
    command = install.java_command(install.java("validator"), "Validate", "1g")
    issues = answered([*command, install.code_systems(), *files])
    return [issue for issue in issues if issue["severity"] in ("error", "fatal")]


def medplum(files):
    return answered(["node", install.medplum() / "medplum.mjs", *files])


def pyfhircheck(files):
    from pyfhircheck import Validator
    from pyfhircheck.config import ValidatorConfig

    settings = {
        "fhirVersion": "4.0.1",
        "localPackagePaths": [str(install.definitions())],
        "allowUnknownExtensions": True,
        "terminology": {"mode": "local"},
    }
    # It prints traces of its work.
    with contextlib.redirect_stdout(io.StringIO()):
        validator = Validator(ValidatorConfig.load_dict(settings))
        found = [(file, issue) for file in files for issue in validator.validate_resource(json.loads(file.read_text())).issues]
    return [{"file": str(file), "message": f"{i.path}: {i.message}"} for file, i in found if i.severity.value == "error"]


def answered(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Missing(f"{command[0]} failed: {done.stderr[-1500:]}")
    return json.loads(done.stdout)


def answers(curbside):
    """What else curbside says in FHIR: its statement, a page of each search, and refusals."""
    made = {"CapabilityStatement": curbside.read("metadata")}
    for offered in made["CapabilityStatement"]["rest"][0]["resource"]:
        made[f"Bundle of {offered['type']}"] = curbside.read(f"{offered['type']}?_count=2")
    for path in ["DiagnosticReport/nobody", "Observation?nonsense=1", "Patient/1"]:
        made[f"refusal of {path}"] = curbside.read(path)
    made["refusal of a hook"] = ask(f"{curbside.base}/cds-services/chart-summary", FHIR_JSON, b"{").json()
    return made


def by_our_rules(tally, curbside, sound, also):
    """What no validator minds: that references lead somewhere, that nothing is final, and the like."""
    ehr, base = curbside.fhir, f"{curbside.base}/fhir"
    judged = {name: list(rules.findings(one, sound, ehr)) for name, one in sound.items()}
    refusal = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid"}]}
    broken = {name: rules.findings(one, sound, ehr) for name, one in sound_but_never_ours(list(sound.values())).items()}
    broken["refusal that says nothing"] = rules.outcome(refusal)
    for name, one in also.items():
        if one["resourceType"] == "Bundle":
            judged[name] = list(rules.bundle(one, sound, base))
            broken |= {f"{name}, {what}": list(rules.bundle(page, sound, base)) for what, page in pages_never_ours(one).items()}
        elif one["resourceType"] == "OperationOutcome":
            judged[name] = rules.outcome(one)
    for name, found in judged.items():
        tally.check(f"our rules: {name}", not found, found)
    for name, found in broken.items():
        tally.check(f"our rules find what is broken: {name}", found)
    tally.say(f"our rules: {len(judged)} resources, {len(broken)} broken ones")


def judge(tally, folder, curbside, expected_reports):
    stored = curbside.stored()
    kinds = collections.Counter(resource["resourceType"] for resource in stored)
    tally.check("every report of the baseline was read back", kinds["DiagnosticReport"] == expected_reports, kinds)
    tally.check("all four types are stored", len(kinds) == 4 and kinds["Device"] == 1, kinds)
    sound = {f"{one['resourceType']}/{one['id']}": one for one in stored}
    also, wrong = answers(curbside), broken(stored)
    tally.say("read back: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))

    by_our_rules(tally, curbside, sound, also)
    folder.mkdir()
    files = {}
    for name, resource in [*sound.items(), *also.items(), *wrong.items()]:
        files[name] = folder / f"{len(files)}.json"
        files[name].write_text(json.dumps(resource))
    for validator, judges, finds in [
        (hl7, {**sound, **also}, set(wrong)),
        (pyfhircheck, sound, FOUND_BY_PYFHIRCHECK),
        (medplum, {**sound, **also}, FOUND_BY_MEDPLUM),
    ]:
        errors = collections.defaultdict(list)
        names = [*judges, *wrong]
        for issue in validator([files[name] for name in names]):
            errors[issue["file"]].append(f"{issue.get('location', '')} {issue['message']}".strip())
        found = {name: errors[str(files[name])] for name in names}
        for name in judges:
            tally.check(f"{validator.__name__}: {name}", not found[name], found[name])
        for name in wrong:
            missed = name in finds and not found[name]
            tally.check(f"{validator.__name__} finds what is broken: {name}", not missed)
        caught = sum(bool(found[name]) for name in wrong)
        tally.say(f"{validator.__name__}: {len(judges)} resources, {caught} of {len(wrong)} broken ones found")
    return f"HL7 validator of HAPI {hapi_version()}, pyfhircheck, Medplum"


def hapi_version():
    pom = (install.HERE / "validator/pom.xml").read_text()
    return pom.split("<hapi.version>")[1].split("<")[0]
