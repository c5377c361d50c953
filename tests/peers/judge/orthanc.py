"""Orthanc as the PACS: the same pixels, and the same answers of curbside, as with the bundled one."""

import io
import json

import numpy
import pydicom
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from . import install
from .hospital import FIXTURES, Curbside, difference, patients, shown_pictures
from .processes import free_ports
from .tally import Missing
from .web import ask, is_up

UNCOMPRESSED = "1.2.840.10008.1.2.1"
MULTIPART = 'multipart/related; type="application/dicom"; transfer-syntax='


class Orthanc:
    """Without orthanc-gdcm, which overruns the stack of Orthanc's threads: JPEG 2000 it can give out as stored only."""

    def __init__(self, processes):
        root = install.orthanc()
        plugin = next(root.glob("usr/lib/orthanc/libOrthancDicomWeb.so*"), None)
        if plugin is None:
            raise Missing(f"{root} holds no DICOMweb plugin; remove the folder to have Orthanc fetched anew")
        folder = processes.folder / "orthanc"
        folder.mkdir()
        port = free_ports(1)
        settings = {
            "StorageDirectory": str(folder),
            "IndexDirectory": str(folder),
            "HttpPort": port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomServerEnabled": False,
            "OverwriteInstances": True,
            "Plugins": [str(plugin)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        libraries = {path.parent for place in ["lib", "usr/lib"] for path in root.glob(f"{place}/**/*.so*")}
        child = processes.start(
            "Orthanc",
            [root / "usr/sbin/Orthanc", folder / "orthanc.json"],
            LD_LIBRARY_PATH=":".join(sorted(map(str, libraries))),
            DCMDICTPATH=str(root / "usr/share/libdcmtk17/dicom.dic"),
        )
        self.base = f"http://127.0.0.1:{port}"
        self.dicomweb = f"{self.base}/dicom-web"
        child.wait_for(lambda: is_up(f"{self.base}/system"), 60)
        self.version = ask(f"{self.base}/system").json()["Version"]

    def keep(self, film, encoding=None):
        """Stores the film as it is, or losslessly encoded anew; Orthanc's name for it, and its transfer syntax there."""
        file = film.path.read_bytes() if encoding is None else film.encoded(encoding)
        stored = ask(f"{self.base}/instances", body=file, content_type="application/dicom").json()["ID"]
        return stored, str(pydicom.dcmread(io.BytesIO(file)).file_meta.TransferSyntaxUID)

    def forget(self, stored):
        return ask(f"{self.base}/instances/{stored}", method="DELETE").status == 200


class Film:
    def __init__(self, path):
        self.path = path
        self.name = str(path.relative_to(FIXTURES))
        self.header = pydicom.dcmread(path)
        study, series = self.header.StudyInstanceUID, self.header.SeriesInstanceUID
        self.study = f"studies/{study}"
        self.instance = f"studies/{study}/series/{series}/instances/{self.header.SOPInstanceUID}"

    def encoded(self, syntax):
        copy, out = pydicom.dcmread(self.path), io.BytesIO()
        if copy.file_meta.TransferSyntaxUID.is_compressed:
            copy.decompress(generate_instance_uid=False)
        copy.compress(syntax, generate_instance_uid=False)
        copy.save_as(out)
        return out.getvalue()

    def pixels_at(self, base, path, syntax):
        """Transfer syntax and decoded pixels of the only file sent; a status and nothing where none was."""
        answer = ask(f"{base}/{path}", MULTIPART + syntax)
        if answer.status != 200:
            return answer.status, None
        (body,) = answer.parts()
        sent = pydicom.dcmread(io.BytesIO(body))
        return str(sent.file_meta.TransferSyntaxUID), sent.pixel_array


def films():
    return {str(film.header.SOPInstanceUID): film for film in map(Film, sorted(FIXTURES.glob("*/*/images/*.dcm")))}


def windowed(header, pixels):
    """Grey levels in the film's own window. https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.11.2.html"""
    centre, width = float(header.WindowCenter), float(header.WindowWidth)
    stored = pixels * float(header.get("RescaleSlope", 1)) + float(header.get("RescaleIntercept", 0))
    grey = numpy.clip((stored - (centre - 0.5)) / (width - 1) + 0.5, 0, 1) * 255
    return 255 - grey if header.PhotometricInterpretation == "MONOCHROME1" else grey


def off_by(a, b):
    """The largest difference of two pictures in grey levels; more than there are where the sizes differ."""
    return float(abs(a.astype(float) - b.astype(float)).max()) if a.shape == b.shape else 999.0


def same_pixels(tally, ehr, archive, film, stored):
    """Instance, study and rendered paths of the archive against the bundled PACS; `stored` is the film's transfer syntax."""
    _, ours = film.pixels_at(ehr.dicomweb, film.instance, "*")
    decodes = stored != JPEG2000Lossless
    for path, syntax, expected in [
        (film.instance, "*", stored),
        (film.study, "*", stored),
        (film.instance, UNCOMPRESSED, UNCOMPRESSED if decodes else 500),
    ]:
        sent, theirs = film.pixels_at(archive.dicomweb, path, syntax)
        same = sent == expected and (theirs is None or numpy.array_equal(ours, theirs))
        tally.check(f"{film.name} by {path.split('/')[-2]}, transfer-syntax={syntax}", same, sent)
    if decodes:
        off = off_by(rendered(archive, film), windowed(film.header, ours))
        tally.check(f"{film.name} rendered", off <= 1, f"off by {off} grey levels")


def rendered(archive, film):
    # Without being told, Orthanc stretches each film between its darkest and its brightest pixel.
    window = f"{float(film.header.WindowCenter):g},{float(film.header.WindowWidth):g},linear"
    answer = ask(f"{archive.dicomweb}/{film.instance}/rendered?window={window}", "image/png")
    return numpy.asarray(Image.open(io.BytesIO(answer.body)).convert("L")) if answer.status == 200 else numpy.zeros((0, 0))


def judge(tally, processes, program, ehr, bundled, baseline):
    known, archive = films(), Orthanc(processes)
    names = {film.name: film for film in known.values()}
    # curbside has no decoder for JPEG-LS: there the archive must do it.
    encoded = {names["patients/demo/images/current.dcm"]: JPEGLSLossless, names["patients/demo/images/prior.dcm"]: RLELossless}
    for film in known.values():
        same_pixels(tally, ehr, archive, film, archive.keep(film, encoded.get(film))[1])
    tally.say(f"Orthanc {archive.version}: {len(known)} films compared by instance, study and rendered paths")

    # The EHR goes on naming its own PACS; curbside is told where that is reached.
    reachable = f"reachable = {{ {json.dumps(ehr.dicomweb)} = {json.dumps(archive.dicomweb)} }}\n"
    curbside = Curbside(processes, program, "with Orthanc", ehr.fhir, ehr.configuration + reachable)

    def same_order(name, what):
        ours, theirs = baseline[name].order, curbside.sign(patients()[name])
        tally.check(f"order for {name}{what}", ours == theirs, difference(ours, theirs))
        return shown_pictures(theirs)

    shown = {}
    for name in patients():
        shown |= same_order(name, "")
    tally.check("pictures on report pages", len(shown) >= 30, len(shown))
    for uid, sha256 in shown.items():
        png = curbside.picture(sha256)
        tally.check(f"picture of {known[uid].name}", png is not None and png == bundled.picture(sha256))
        grey = numpy.asarray(Image.open(io.BytesIO(png)).convert("L")) if png else numpy.zeros((0, 0))
        off = off_by(grey, rendered(archive, known[uid]))
        tally.check(f"picture of {known[uid].name} against Orthanc's rendering", off <= 1, f"off by {off} grey levels")
    tally.say("orders signed")

    real = names["patients/real-film/images/current.dcm"]
    same_pixels(tally, ehr, archive, real, archive.keep(real, JPEGLSLossless)[1])
    same_order("real-film", ", held as JPEG-LS")

    # Proof that it was Orthanc that was asked.
    lost = names["cases/c12/images/current.dcm"]
    tally.check("a film is removed", archive.forget(archive.keep(lost)[0]))
    without = "\n".join(curbside.sign(patients()["c12"]))
    told = f"film {lost.header.SOPInstanceUID}: the archive did not find it (404)"
    tally.check("a film that Orthanc has lost is told", told in without, without)
    return f"Orthanc {archive.version}"
