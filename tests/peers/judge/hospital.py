"""The demonstration's EHR and PACS, and curbside beside it: asked as an EHR asks, read as a FHIR client reads."""

import difflib
import hashlib
import html
import json
import re
import tomllib
import uuid
from pathlib import Path

from .processes import free_ports
from .web import ask, is_up

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "fixtures"
FHIR_JSON = "application/fhir+json"
# Verdicts must not hang on how busy this machine is.
DEADLINE_MS = 60_000


def patients():
    """Fixture folders by name, each with a request."""
    return {path.parent.name: path.parent for path in sorted(FIXTURES.glob("*/*/request.json"))}


class Ehr:
    """The bundled EHR and PACS, open to everyone."""

    def __init__(self, processes, program):
        command = [program, "demo", "--ehr-only", "--fixtures", FIXTURES, "--port", free_ports(3)]
        child = processes.start("bundled EHR and PACS", command)
        self.configuration = child.wait_for(lambda: "patient_id_systems" in child.output() and child.output(), 60)
        block = tomllib.loads(self.configuration)["ehr"][0]
        self.fhir, self.dicomweb = block["fhir"], block["dicomweb"][0]


class Curbside:
    """One server with the bundled model, for an EHR at `fhir`."""

    def __init__(self, processes, program, name, fhir, configuration):
        folder = processes.folder / name.replace(" ", "-")
        folder.mkdir()
        for service in (ROOT / "cds-hooks/services").iterdir():
            settings = json.loads((service / "service.json").read_text()) | {"deadline_ms": DEADLINE_MS}
            (folder / "services" / service.name).mkdir(parents=True)
            (folder / "services" / service.name / "service.json").write_text(json.dumps(settings))
        config = folder / "curbside.toml"
        config.write_text(f"services = {json.dumps(str(folder / 'services'))}\n{configuration}")
        self.fhir = fhir
        self.base = f"http://127.0.0.1:{(port := free_ports(1))}"
        command = [program, "serve", "--config", config, "--listen", f"127.0.0.1:{port}"]
        command += ["--model", FIXTURES / "model", "--store", folder / "curbside.db"]
        child = processes.start(f"curbside {name}", command)
        child.wait_for(lambda: is_up(f"{self.base}/readyz"), 120)

    def sign(self, folder):
        """The answer to the folder's order, with all that was stored for it, comparable with another server's."""
        request = json.loads((folder / "request.json").read_text().replace("{{fhir}}", self.fhir))
        answer = self.call("imaging-draft-report", request)
        links = [link["url"] for card in answer["cards"] for link in card.get("links", [])]
        told = {"answer": answer, "reports": [self.report(link) for link in links]}
        return self.comparable(told)

    def view(self, folder):
        """The answer when the folder's chart is opened, comparable likewise."""
        context = json.loads((folder / "request.json").read_text())["context"]
        context = {"userId": context["userId"], "patientId": context["patientId"]}
        answer = self.call("chart-summary", {"hook": "patient-view", "fhirServer": self.fhir, "context": context})
        return self.comparable({"answer": answer})

    def call(self, service, request):
        # No prefetch is sent: all there is to know has to be fetched.
        answer = ask(f"{self.base}/cds-services/{service}", body=request | {"hookInstance": str(uuid.uuid4())})
        return answer.json() if answer.status == 200 else {"cards": [], "status": answer.status, "body": answer.body.decode()}

    def report(self, page):
        identity = page.rsplit("/", 1)[1]
        report = self.read(f"DiagnosticReport/{identity}")
        results = [self.read(result["reference"]) for result in report["result"]]
        targets = [f"{one['resourceType']}/{one['id']}" for one in [report, *results]]
        provenances = [e["resource"] for target in targets for e in self.read(f"Provenance?target={target}")["entry"]]
        # Those of one target come in the order of their ids, which are random.
        provenances.sort(key=lambda one: json.dumps([one["target"][0].get("extension"), one["entity"]], sort_keys=True))
        return {
            "report": report,
            "results": results,
            "provenances": provenances,
            "page": html.unescape(ask(page, "text/html").body.decode()).splitlines(),
        }

    def read(self, path):
        return ask(path if "://" in path else f"{self.base}/fhir/{path}", FHIR_JSON).json()

    def stored(self):
        """Every resource that can be read, by the searches that are offered, to the last page."""
        resources = []
        for offered in self.read("metadata")["rest"][0]["resource"]:
            path = f"{offered['type']}?_count=20"
            while path:
                bundle = self.read(path)
                resources += [entry["resource"] for entry in bundle.get("entry", [])]
                path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        return resources

    def picture(self, sha256):
        png = ask(f"{self.base}/pictures/{sha256}", "image/png").body
        return png if hashlib.sha256(png).hexdigest() == sha256 else None

    def comparable(self, told):
        """Lines in which addresses, random ids and the time of asking do not show."""
        text = json.dumps(told, indent=1, sort_keys=True)
        text = text.replace(self.base, "{{curbside}}").replace(self.fhir, "{{fhir}}")
        text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+Z| UTC)", "{{now}}", text)
        seen = {}
        text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda m: seen.setdefault(m[0], f"id-{len(seen)}"), text)
        return text.splitlines()


def shown_pictures(answer):
    """SOP Instance UID to SHA-256 of the picture, as the report pages in a comparable answer say it."""
    pages = json.loads("\n".join(answer))["reports"]
    found = [re.findall(r"/pictures/([0-9a-f]{64})|SOP Instance UID</dt><dd><bdi>([0-9.]+)", "".join(one["page"])) for one in pages]
    flat = [pair for page in found for pair in page]
    return {uid: sha256 for (sha256, _), (_, uid) in zip(flat[::2], flat[1::2])}


def difference(ours, theirs):
    lines = difflib.unified_diff(ours, theirs, "bundled", "counterpart", lineterm="", n=0)
    return "\n".join(line[:400] for line in list(lines)[:12])
