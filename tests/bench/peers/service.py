"""HealthChain's own CDS service: python service.py PORT typed|untyped. Typed reads the prefetch into fhir.resources' models."""

import sys

import uvicorn
from healthchain.fhir import convert_prefetch_to_fhir_objects
from healthchain.gateway import CDSHooksService, HealthChainAPI
from healthchain.models.requests.cdsrequest import CDSRequest
from healthchain.models.responses.cdsresponse import CDSResponse

hooks = CDSHooksService()
typed = sys.argv[2] == "typed"


@hooks.hook("patient-view", id="chart-summary")
def summary(request: CDSRequest) -> CDSResponse:
    if typed:
        laboratory = convert_prefetch_to_fhir_objects(request.prefetch)["laboratory"]
        results = [entry.resource for entry in laboratory.entry]
        lines = [f"{r.code.text}: {r.valueQuantity.value} {r.valueQuantity.unit}" for r in results]
    else:
        results = [entry["resource"] for entry in request.prefetch["laboratory"]["entry"]]
        lines = [f"{r['code']['text']}: {r['valueQuantity']['value']} {r['valueQuantity']['unit']}" for r in results]
    card = {"summary": f"{len(lines)} results", "indicator": "info", "source": {"label": "a peer"}, "detail": "\n".join(lines)}
    return CDSResponse(cards=[card])


app = HealthChainAPI()
app.register_service(hooks)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
