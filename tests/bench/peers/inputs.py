"""Writes what is timed: python inputs.py FOLDER. The same bytes each time, of nobody."""

import json
import random
import sys
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, JPEG2000Lossless

ROWS, COLUMNS = 2500, 2048
TESTS = [("2823-3", "Potassium", "mmol/L"), ("2951-2", "Sodium", "mmol/L"), ("718-7", "Hemoglobin", "g/dL"),
         ("1988-5", "C reactive protein", "mg/L"), ("2160-0", "Creatinine", "mg/dL"), ("6690-2", "Leukocytes", "10*3/uL")]
PATIENT = {"resourceType": "Patient", "id": "1", "active": True, "gender": "female", "birthDate": "1961-01-16",
           "name": [{"use": "official", "family": "Made", "given": ["Up"]}]}


def observation(number, chance):
    """One laboratory result of about 800 bytes."""
    code, text, unit = TESTS[number % len(TESTS)]
    quantity = lambda value: {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    day = f"{2015 + number % 10}-{number % 12 + 1:02}-{number % 28 + 1:02}"
    return {
        "resourceType": "Observation", "id": f"result-{number}", "meta": {"versionId": "1"}, "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "laboratory", "display": "Laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": text}], "text": text},
        "subject": {"reference": "Patient/1"}, "encounter": {"reference": f"Encounter/{number // 6}"},
        "effectiveDateTime": f"{day}T08:15:00+00:00", "issued": f"{day}T09:40:11.120+00:00",
        "valueQuantity": quantity(round(chance.uniform(1, 200), 2)),
        "referenceRange": [{"low": quantity(3.5), "high": quantity(145.0)}],
    }


def large_observation(number, chance):
    """The same with what large records carry along, about 5 kB: narrative, identifiers, extensions, performers, notes."""
    cells = "".join(f"<tr><td class=\"name\">{text}</td><td>{round(chance.uniform(1, 200), 2)} {unit}</td></tr>"
                    for _, text, unit in TESTS * 3)
    resource = observation(number, chance)
    code = resource["code"]
    code["coding"] += [{"system": "urn:example:laboratory", "code": f"L{n}", "display": code["text"]} for n in range(3)]
    code["text"] += f" {number % 300}"
    return resource | {
        "text": {"status": "generated", "div": f"<div xmlns=\"http://www.w3.org/1999/xhtml\"><table>{cells}</table></div>"},
        "identifier": [{"use": "official", "system": f"urn:example:order:{n}", "value": f"{number}-{n}"} for n in range(4)],
        "extension": [{"url": f"http://example.org/extension-{n}", "valueCodeableConcept":
                       {"coding": [{"system": "urn:example:code", "code": f"C{n}", "display": "one more detail"}]}}
                      for n in range(16)],
        "performer": [{"reference": f"Practitioner/{n}", "display": "somebody"} for n in range(3)],
        "note": [{"time": resource["issued"], "text": "Seen again by the laboratory, no change to the result. " * 3}],
    }


def searchset(resources):
    entries = [{"fullUrl": f"https://ehr.example/fhir/{r['resourceType']}/{r['id']}", "resource": r,
                "search": {"mode": "match"}} for r in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def patient_view(laboratory):
    """The request of an EHR whose answers to the service's other questions are empty."""
    prefetch = {"patient": PATIENT, "laboratory": laboratory}
    for key in ["conditions", "medications", "allergies", "vitals", "examinations", "studies", "reports"]:
        prefetch[key] = searchset([])
    return {"hook": "patient-view", "hookInstance": "6ad1d2ea-9b1c-4f5e-9a4e-0f6b4e3e2a11",
            "context": {"userId": "Practitioner/1", "patientId": "1"}, "prefetch": prefetch}


def film(path, compressed):
    """A 12-bit DX film of soft shapes with the noise of a detector; its UIDs are the ones the bench asks for."""
    noise = np.random.default_rng(1)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    soft = 2000 + 1200 * np.sin(x / 300) * np.cos(y / 410) + noise.normal(0, 12, (ROWS, COLUMNS))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "2.25.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, "2.25.3"
    data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.1", "2.25.2"
    data.ImageType = ["ORIGINAL", "PRIMARY"]
    data.Modality, data.PresentationIntentType = "DX", "FOR PRESENTATION"
    data.Manufacturer, data.BodyPartExamined, data.ViewPosition = "nobody", "CHEST", "PA"
    data.PatientID, data.PatientName = "MRN-1", "Made^Up"
    data.PatientBirthDate, data.PatientSex, data.StudyDate = "19610116", "F", "20251101"
    data.PatientOrientation = ["L", "F"]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = ROWS, COLUMNS
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = 2040, 4080
    data.BurnedInAnnotation, data.LossyImageCompression = "NO", "00"
    data.PixelData = soft.clip(0, 4095).astype("<u2").tobytes()
    if compressed:
        data.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
        data["PixelData"].VR = "OB"
    data.save_as(path, enforce_file_format=True)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    text = lambda value: json.dumps(value, separators=(",", ":"))
    chance = random.Random(1)
    (folder / "patient-view.json").write_text(text(patient_view(searchset([observation(n, chance) for n in range(100)]))))
    large = searchset([large_observation(n, chance) for n in range(2000)])
    (folder / "bundle.json").write_text(text(large))
    (folder / "large.json").write_text(text(patient_view(large)))
    film(folder / "raw.dcm", compressed=False)
    film(folder / "jpeg2000.dcm", compressed=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
