"""What curbside promises of its resources beyond R4, which a validator has no reason to mind: the fourth judge."""

import re

AUTHORED = {"DiagnosticReport", "Observation"}
STATUSES = {
    "DiagnosticReport": {"partial", "preliminary"},
    "Observation": {"preliminary"},
    "Device": {"active"},
    "Provenance": {None},
}

LOINC = "http://loinc.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
AI_ASSERTED = (f"{TERMINOLOGY}v3-ObservationValue", "AIAST")
# All codes a draft may hold.
CODES = {
    LOINC: {"18748-4", "30745-4", "59776-5", "19005-8", "LP29684-5", "85430-7"},
    "http://dicom.nema.org/resources/ontology/DCM": {"111001", "111003"},
    "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AIdeviceTypeCS": {
        "Artificial-Intelligence", "Vision-Language-Models", "Medical-Image-Analysis", "AI-for-Multimodal-Data",
        "Deterministic-AI",
    },
    f"{TERMINOLOGY}v2-0074": {"RAD"},
    f"{TERMINOLOGY}v3-ActCode": {"PROCESSINLINELABEL"},
    f"{TERMINOLOGY}v3-DataOperation": {"CREATE"},
    f"{TERMINOLOGY}v3-ObservationValue": {"AIAST"},
    f"{TERMINOLOGY}observation-category": {"imaging"},
    f"{TERMINOLOGY}provenance-participant-type": {"author"},
}
# `code` of a resource says what it is, so not every code of the list will do.
OWN_CODES = {
    "DiagnosticReport": {(LOINC, "18748-4"), (LOINC, "30745-4")},
    "Observation": {(LOINC, "59776-5"), (LOINC, "19005-8")},
}
EXTENSIONS = {
    "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label",
    "http://hl7.org/fhir/StructureDefinition/alternate-reference",
    "http://hl7.org/fhir/StructureDefinition/targetPath",
    "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/aitransparency.AIKind",
}
# All markup a narrative is made of; of attributes only the namespace and the language.
DIVS = {f'<div xmlns="http://www.w3.org/1999/xhtml" lang="{language}" xml:lang="{language}">' for language in ("en", "ko")}
TAGS = DIVS | {"<p>", "<b>", "<ul>", "<li>", "</div>", "</p>", "</b>", "</ul>", "</li>"}
IDENTITY = re.compile(r"[A-Za-z0-9.-]{1,64}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def findings(resource, stored, ehr):
    """One sentence for each promise the resource breaks. `stored` holds the addresses of all that can be read, such as
    `Device/1`; `ehr` is the FHIR base all else is at."""
    kind = resource["resourceType"]
    found = []
    if kind not in STATUSES:
        return [f"a {kind} is never stored"]
    if resource.get("status") not in STATUSES[kind]:
        found.append(f"status {resource.get('status')}")
    if not IDENTITY.fullmatch(resource.get("id", "")):
        found.append("no id")
    if kind in AUTHORED:
        found += authored(resource, ehr)
    if kind == "Provenance" and AI_ASSERTED not in codings(resource.get("reason")):
        found.append("no reason AIAST")
    targets = resource.get("target", []) if kind == "Provenance" else []
    found += [f"target {target}" for target in targets if target.get("reference", "").split("/")[0] not in AUTHORED]
    found += narrative(resource.get("text", {}).get("div", ""))
    for path, node in nodes(resource, kind):
        found += [f"{path}: {told}" for told in element(path, node, stored, ehr)]
    return found


def authored(resource, ehr):
    """What holds for resources that say something about a patient."""
    if AI_ASSERTED not in {(label.get("system"), label.get("code")) for label in resource.get("meta", {}).get("security", [])}:
        yield "no security label AIAST"
    if not resource.get("subject", {}).get("reference", "").startswith(f"{ehr}/Patient/"):
        yield f"subject {resource.get('subject')}"
    if not codings(resource.get("code")) or not codings(resource.get("code")) <= OWN_CODES[resource["resourceType"]]:
        yield f"code {resource.get('code')}"
    issued, effective = resource.get("issued", ""), resource.get("effectiveDateTime", "")
    if not INSTANT.fullmatch(issued):
        yield f"issued {issued}"
    if effective[:10] > issued[:10]:
        yield f"effective {effective}, after issued {issued}"
    if resource["resourceType"] == "Observation" and not isinstance(resource.get("valueString"), str):
        yield "a value other than text"


def element(path, node, stored, ehr):
    """What holds for each element by itself."""
    if "modifierExtension" in node or "implicitRules" in node:
        yield "changes what the resource means"
    for extension in node.get("extension", []):
        if extension.get("url") not in EXTENSIONS:
            yield f"extension {extension.get('url')}"
    if isinstance(node.get("code"), str) and node["code"] not in CODES.get(node.get("system"), ()):
        yield f"code {node.get('system')} {node['code']}"
    if "contentType" in node or path.endswith("presentedForm"):
        yield "an attachment"
    reference = node.get("reference")
    if isinstance(reference, str):
        ours = re.sub(r"/_history/1$", "", reference)
        if ours not in stored and not reference.startswith(f"{ehr}/"):
            yield f"reference {reference} leads nowhere"


def narrative(div):
    tags = re.findall(r"<[^>]*>?", div)
    if not re.sub(r"<[^>]*>?", "", div).strip():
        yield "a narrative that says nothing"
    yield from (f"markup {tag}" for tag in tags if tag not in TAGS)


def bundle(page, stored, base):
    """What holds for a page of a search, at the FHIR base `base`."""
    entries = page.get("entry", [])
    addresses = [entry.get("fullUrl") for entry in entries]
    if not isinstance(page.get("total"), int) or page["total"] < len(entries):
        yield f"total {page.get('total')} of {len(entries)}"
    if len(set(addresses)) < len(addresses):
        yield "a resource twice"
    for entry in entries:
        here = f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        if here not in stored or entry.get("fullUrl") != f"{base}/{here}":
            yield f"{entry.get('fullUrl')} is {here}"


def outcome(resource):
    """What holds for a refusal."""
    issues = resource.get("issue") or [{}]
    return [f"issue {issue} says nothing" for issue in issues if not issue.get("diagnostics")]


def codings(concept):
    concepts = concept if isinstance(concept, list) else [concept or {}]
    return {(one.get("system"), one.get("code")) for each in concepts for one in each.get("coding", [])}


def nodes(node, path):
    """Every element that has elements, with its path."""
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from nodes(value, f"{path}.{key}")
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value, path)
