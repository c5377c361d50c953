"""What curbside promises of every answer, and real data to ask it with. Loaded by schemathesis.

https://schemathesis.readthedocs.io/en/stable/guides/extending/
"""

import copy
import json
import os
import pathlib
import re
import urllib.error
import urllib.request

import schemathesis
from hypothesis import strategies as st

ROOT = pathlib.Path(__file__).parents[3]
PATIENTS = ROOT / "fixtures" / "patients"
SERVICES = {folder.name for folder in (ROOT / "cds-hooks" / "services").iterdir()}
# Resources of one type that a prefetched Bundle holds.
MOST = 5
FHIR_JSON = "application/fhir+json"


@schemathesis.check
def failures_are_told(ctx, response, case):
    """No 500, ever. 502, 503 and 504 with an OperationOutcome, 503 also with Retry-After; probes say it in their own words."""
    status = response.status_code
    assert status != 500, "the server failed on its own account"
    kind = first(response, "content-type")
    if status >= 400 and not (status == 503 and case.operation.path == "/readyz"):
        assert kind == FHIR_JSON, f"{status} with {kind}"
        outcome = response.json()
        assert outcome["resourceType"] == "OperationOutcome" and outcome["issue"], f"{status} without an outcome"
        told = outcome["issue"][0]["diagnostics"]
        assert not re.search(r"\.rs\b|panick|sqlx|SELECT |Traceback", told), f"{status} tells of the inside: {told}"
    if status == 503:
        seconds = first(response, "retry-after")
        assert seconds and seconds.isdigit() and int(seconds) >= 1, f"503 with Retry-After {seconds!r}"
    if status == 405:
        assert first(response, "allow"), "405 without Allow"


@schemathesis.check
def answers_are_kept_by_nobody(ctx, response, case):
    """Nothing is cached between us and the caller, nothing is sniffed, and every answer can be found in the log."""
    kept = first(response, "cache-control") or ""
    assert "no-store" in kept or kept == "private, no-cache", f"Cache-Control: {kept}"
    assert first(response, "x-content-type-options") == "nosniff"
    assert first(response, "x-request-id")


@schemathesis.check
class every_operation_succeeds_at_times:
    """An operation that only ever refuses was not judged."""

    def __init__(self):
        self.succeeded = set()

    def after_response(self, ctx, response, case):
        if 200 <= response.status_code < 300:
            self.succeeded.add(case.operation.label)

    def after_run(self, ctx):
        never = sorted(offered - self.succeeded)
        assert offered and not never, f"never answered with 2xx: {', '.join(never)}"


def first(response, name):
    values = response.headers.get(name)
    return values[0] if values else None


# The operations of the server, as "GET /livez".
offered = set()


@schemathesis.hook
def before_load_schema(ctx, raw_schema):
    """Adds what is there to be found: ids of the server's own resources, and each service as an operation of its own.

    A server that lacks any of it offers too little to be judged.
    """
    paths = raw_schema["paths"]
    services = fetched("/cds-services")["services"]
    names = {service["id"] for service in services}
    assert names == SERVICES, f"services {names} instead of {SERVICES}"
    for service in services:
        forms = raw_schema["components"]["schemas"]["HookRequest"]["oneOf"]
        form = next(form for form in forms if form["properties"]["hook"]["enum"] == [service["hook"]])
        operation = copy.deepcopy(paths["/cds-services/{id}"]["post"])
        operation["operationId"] = service["id"]
        operation["parameters"] = []
        operation["requestBody"]["content"] = {"application/json": {"schema": form}}
        paths["/cds-services/" + service["id"]] = {"post": operation}
        real[service["id"]] = [real_request(service, folder) for folder in sorted(PATIENTS.iterdir())]
    ids = {kind: stored(kind) for kind in ["DiagnosticReport", "Observation", "Provenance", "Device"]}
    assert all(ids.values()), f"resources of a type are missing, sign an order first: {ids}"
    pages = "".join(fetched(f"/reports/{id}", text=True) for id in ids["DiagnosticReport"])
    offer(paths["/fhir/{type}/{id}"]["get"], "id", sum(ids.values(), []))
    offer(paths["/reports/{id}"]["get"], "id", ids["DiagnosticReport"])
    pictures = sorted(set(re.findall(r"/pictures/([0-9a-f]{64})", pages)))
    assert pictures, "no report shows a picture"
    offer(paths["/pictures/{sha256}"]["get"], "sha256", pictures)
    offered.update(f"{method.upper()} {path}" for path, methods in paths.items() for method in methods)


# Requests as an EHR would send them, by the service's id.
real = {}
JUNK = [None, True, -1, 1e308, "", "\u0000", "x" * 5000, [], {}, [[]], {"resourceType": "Patient"}]


@schemathesis.hook
def before_generate_body(ctx, strategy):
    requests = real.get(ctx.operation.definition.raw.get("operationId"))
    return strategy if not requests else st.one_of(strategy, spoilt(requests))


@st.composite
def spoilt(draw, requests):
    """A real request, with up to three pieces of it exchanged for something else."""
    request = copy.deepcopy(draw(st.sampled_from(requests)))
    for _ in range(draw(st.integers(0, 3))):
        pieces = list(places(request))
        holder, key = draw(st.sampled_from(pieces))
        other, its_key = draw(st.sampled_from(pieces))
        holder[key] = copy.deepcopy(draw(st.sampled_from([*JUNK, other[its_key]])))
    return request


def places(node):
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, (dict, list)):
            yield from places(value)


def real_request(service, folder):
    """The request of a fixture folder's patient for this service, with everything prefetched."""
    request = json.loads((folder / "request.json").read_text())
    entries = json.loads((folder / "fhir.json").read_text())["entry"]
    del request["fhirServer"]
    request["hook"] = service["hook"]
    if service["hook"] != "order-sign":
        del request["context"]["draftOrders"]
    # A service that answers questions lists their codes.
    if codes := re.search(r"CODE is one of: ([a-z0-9-]+)", service.get("usageRequirements", "")):
        request["extension"] = {"curbside-question": codes[1]}
    request["prefetch"] = {}
    for key, query in service["prefetch"].items():
        kind = re.match("[A-Za-z]+", query).group()
        found = [entry["resource"] for entry in entries if entry["resource"]["resourceType"] == kind][:MOST]
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in found]}
        request["prefetch"][key] = bundle if "?" in query else next(iter(found), None)
    return request


def offer(operation, name, values):
    for parameter in operation["parameters"]:
        if parameter["name"] == name:
            parameter["schema"] = {"anyOf": [{"enum": values}, parameter["schema"]]}


def stored(kind):
    return [entry["resource"]["id"] for entry in fetched(f"/fhir/{kind}?_count=20").get("entry", [])]


def fetched(path, text=False):
    with urllib.request.urlopen(os.environ["JUDGED_URL"] + path, timeout=30) as answer:
        body = answer.read().decode()
    return body if text else json.loads(body)
