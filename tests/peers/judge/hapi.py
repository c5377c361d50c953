"""HAPI FHIR as the EHR's server: everything fetched from it, and the answers the same as with the bundled one."""

import json

from . import install
from .hospital import FHIR_JSON, Curbside, difference, patients
from .web import ask


class Hapi:
    def __init__(self, processes):
        folder = processes.folder / "hapi"
        folder.mkdir()
        command = install.java_command(install.java("hapi"), "Main", "1500m")
        self.child = processes.start("HAPI FHIR", [*command, folder])

    def wait(self):
        """It takes half a minute to start."""
        ready = lambda: next((line for line in self.child.output().splitlines() if line.startswith("ready ")), None)
        self.base = self.child.wait_for(ready, 300).split()[1]
        self.version = ask(f"{self.base}/metadata", FHIR_JSON).json()["software"]["version"]

    def load(self, folder, dicomweb):
        """The folder's resources under their own ids, in one transaction; how many there are, or what HAPI says."""
        text = (folder / "fhir.json").read_text().replace("{{fhir}}", self.base).replace("{{dicomweb}}", dicomweb)
        resources = [entry["resource"] for entry in json.loads(text)["entry"]]
        entries = [{"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}} for one in resources]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = ask(self.base, FHIR_JSON, bundle, FHIR_JSON)
        return len(resources) if answer.status == 200 else answer.body


def judge(tally, processes, program, ehr, hapi, baseline):
    hapi.wait()
    loaded = 0
    for name, folder in patients().items():
        count = hapi.load(folder, ehr.dicomweb)
        tally.check(f"chart of {name} loaded", isinstance(count, int), count)
        loaded += count if isinstance(count, int) else 0
    tally.say(f"HAPI FHIR {hapi.version} holds {loaded} resources of {len(patients())} patients")

    configuration = ehr.configuration.replace(ehr.fhir, hapi.base)
    with_hapi = Curbside(processes, program, "with HAPI FHIR", hapi.base, configuration)
    for name, folder in patients().items():
        for what, ours, theirs in [
            ("order", baseline[name].order, with_hapi.sign(folder)),
            ("chart", baseline[name].chart, with_hapi.view(folder)),
        ]:
            tally.check(f"{what} of {name}", ours == theirs, difference(ours, theirs))
    tally.say("orders signed and charts opened")

    # Proof that it was HAPI that was asked.
    deleted = ask(f"{hapi.base}/Observation/c12-crp", FHIR_JSON, method="DELETE")
    tally.check("a resource is deleted", deleted.status == 200, deleted.body)
    there, gone = "\n".join(baseline["c12"].order), "\n".join(with_hapi.sign(patients()["c12"]))
    tally.check("what HAPI has deleted is gone from the answer", "Observation/c12-crp" in there and "Observation/c12-crp" not in gone)
    return f"HAPI FHIR {hapi.version}"
