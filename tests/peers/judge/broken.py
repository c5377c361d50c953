"""Resources that are wrong in one way each, made from what curbside stored."""

import copy

# Those that each of the lesser validators is known to find; HL7's finds all nine.
FOUND_BY_PYFHIRCHECK = {
    "bad base64", "unknown element", "unknown status", "Device as performer", "no code", "script in narrative",
    "value and its absence", "no agent",
}
FOUND_BY_MEDPLUM = {"bad base64", "unknown element", "no code", "value and its absence", "no agent"}


class Broken:
    """Copies of the first resource of each type, by what is wrong with them."""

    def __init__(self, stored):
        self.first = {}
        for resource in stored:
            self.first.setdefault(resource["resourceType"], resource)
        self.made = {}

    def __call__(self, name, resource_type, change):
        resource = copy.deepcopy(self.first[resource_type])
        change(resource)
        self.made[name] = resource


def broken(stored):
    """Nine that are no resources of R4."""
    wrong = Broken(stored)
    unknown = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]}
    script = '<div xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></div>'
    attachment = {"contentType": "text/html", "data": "no base64!"}
    device = {"reference": f"Device/{wrong.first['Device']['id']}"}
    wrong("bad base64", "DiagnosticReport", lambda r: r.update(presentedForm=[attachment]))
    wrong("impossible date", "DiagnosticReport", lambda r: r.update(effectiveDateTime="2025-02-30"))
    wrong("unknown element", "DiagnosticReport", lambda r: r.update(verdict="fine"))
    wrong("unknown status", "DiagnosticReport", lambda r: r.update(status="drafted"))
    wrong("Device as performer", "DiagnosticReport", lambda r: r["performer"].append(device))
    wrong("no code", "DiagnosticReport", lambda r: r.pop("code"))
    wrong("script in narrative", "DiagnosticReport", lambda r: r["text"].update(div=script))
    wrong("value and its absence", "Observation", lambda r: r.update(dataAbsentReason=unknown))
    wrong("no agent", "Provenance", lambda r: r.pop("agent"))
    return wrong.made


def sound_but_never_ours(stored):
    """Those that a validator has no reason to mind, and each breaks one of our own promises."""
    wrong = Broken(stored)

    def narrative(inner):
        return lambda r: r["text"].update(div=f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>')

    def coded(system, code):
        return lambda r: r["code"].update(coding=[{"system": system, "code": code}])

    negated = [{"url": "http://nobody.example/negated", "valueBoolean": True}]
    remark = [{"url": "http://nobody.example/remark", "valueString": "x"}]
    page = {"contentType": "text/html", "url": "javascript:alert(1)"}
    text = {"contentType": "text/plain", "data": "aGVsbG8=", "size": 999, "hash": "AAAA"}
    quantity = {"value": 1, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
    elsewhere = {"reference": "http://elsewhere.example/Patient/somebody"}
    for kind, final in [("DiagnosticReport", "final"), ("Observation", "final"), ("Device", "inactive")]:
        wrong(f"{kind} {final}", kind, lambda r: r.update(status=final))
    for kind in ["DiagnosticReport", "Observation"]:
        wrong(f"{kind} without labels", kind, lambda r: r.pop("meta"))
        wrong(f"{kind} of nobody", kind, lambda r: r.pop("subject"))
        wrong(f"{kind} of a patient elsewhere", kind, lambda r: r.update(subject=elsewhere))
        wrong(f"{kind} issued before its study", kind, lambda r: r.update(effectiveDateTime="2199-01-01"))
    wrong("result that is not there", "DiagnosticReport", lambda r: r.update(result=[{"reference": "Observation/nobody"}]))
    wrong("result in no place", "DiagnosticReport", lambda r: r.update(result=[{"reference": f"urn:uuid:{r['id']}"}]))
    wrong("device that is not there", "Observation", lambda r: r.update(device={"reference": "Device/nobody"}))
    wrong("report with an invented code", "DiagnosticReport", coded("http://loinc.org", "99999-9"))
    wrong("report with another's code", "DiagnosticReport", coded("http://loinc.org", "59776-5"))
    wrong("observation with an invented code", "Observation", coded("http://snomed.info/sct", "1"))
    wrong("category with an invented code", "Observation", lambda r: r["category"][0]["coding"][0].update(code="laboratory"))
    wrong("code of no system", "DiagnosticReport", lambda r: r["code"].update(coding=[{"code": "30745-4"}]))
    wrong("no code but text", "DiagnosticReport", lambda r: r["code"].pop("coding"))
    wrong("script behind a link", "DiagnosticReport", narrative('<a href="javascript:alert(1)">x</a>'))
    wrong("picture from elsewhere", "DiagnosticReport", narrative('x<img src="http://elsewhere.example/t.png" alt="x"/>'))
    wrong("script behind a click", "DiagnosticReport", narrative('<p onclick="alert(1)">x</p>'))
    wrong("narrative of nothing", "DiagnosticReport", narrative("<p> </p>"))
    wrong("unknown extension", "DiagnosticReport", lambda r: r.update(extension=remark))
    wrong("unknown extension inside", "Device", lambda r: r["version"][0].update(extension=remark))
    wrong("unknown modifier", "DiagnosticReport", lambda r: r.update(modifierExtension=negated))
    wrong("unknown modifier inside", "Provenance", lambda r: r["agent"][0].update(modifierExtension=negated))
    wrong("rules of others", "Observation", lambda r: r.update(implicitRules="http://nobody.example/rules"))
    wrong("script as a form", "DiagnosticReport", lambda r: r.update(presentedForm=[page]))
    wrong("form of another size", "DiagnosticReport", lambda r: r.update(presentedForm=[text]))
    wrong("id too long", "DiagnosticReport", lambda r: r.update(id="a" * 80))
    wrong("time without a zone", "DiagnosticReport", lambda r: r.update(issued=r["issued"][:19]))
    wrong("a measurement", "Observation", lambda r: (r.pop("valueString"), r.update(valueQuantity=quantity)))
    wrong("another type", "Observation", lambda r: r.update(resourceType="Condition"))
    wrong("provenance of nothing", "Provenance", lambda r: r.update(target=[{"reference": "Foo/1"}]))
    wrong("provenance of a patient", "Provenance", lambda r: r.update(target=[{"reference": "Patient/1"}]))
    wrong("provenance that names no AI", "Provenance", lambda r: r.pop("reason"))
    return wrong.made


def pages_never_ours(page):
    """Pages of a search likewise."""
    entry = page["entry"][0]
    return {
        "total below zero": page | {"total": -5},
        "address elsewhere": page | {"entry": [entry | {"fullUrl": "http://elsewhere.example/fhir/Device/1"}]},
        "a resource twice": page | {"entry": [entry, entry]},
        "a resource that is not kept": page | {"entry": [entry | {"resource": entry["resource"] | {"id": "nobody"}}]},
    }
