"""Nine resources that are wrong in one way each, made from what curbside stored."""

import copy

# Those that each of the lesser validators is known to find; HL7's finds all nine.
FOUND_BY_PYFHIRCHECK = {
    "bad base64", "unknown element", "unknown status", "Device as performer", "no code", "script in narrative",
    "value and its absence", "no agent",
}
FOUND_BY_MEDPLUM = {"bad base64", "unknown element", "no code", "value and its absence", "no agent"}


def broken(stored):
    """The nine, by what is wrong with them."""
    first = {}
    for resource in stored:
        first.setdefault(resource["resourceType"], resource)
    made = {}

    def wrong(name, resource_type, change):
        resource = copy.deepcopy(first[resource_type])
        change(resource)
        made[name] = resource

    unknown = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]}
    script = '<div xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></div>'
    attachment = {"contentType": "text/html", "data": "no base64!"}
    device = {"reference": f"Device/{first['Device']['id']}"}
    wrong("bad base64", "DiagnosticReport", lambda r: r.update(presentedForm=[attachment]))
    wrong("impossible date", "DiagnosticReport", lambda r: r.update(effectiveDateTime="2025-02-30"))
    wrong("unknown element", "DiagnosticReport", lambda r: r.update(verdict="fine"))
    wrong("unknown status", "DiagnosticReport", lambda r: r.update(status="drafted"))
    wrong("Device as performer", "DiagnosticReport", lambda r: r["performer"].append(device))
    wrong("no code", "DiagnosticReport", lambda r: r.pop("code"))
    wrong("script in narrative", "DiagnosticReport", lambda r: r["text"].update(div=script))
    wrong("value and its absence", "Observation", lambda r: r.update(dataAbsentReason=unknown))
    wrong("no agent", "Provenance", lambda r: r.pop("agent"))
    return made
