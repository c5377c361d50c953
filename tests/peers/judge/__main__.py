"""The command line."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from . import hapi, install, orthanc, validators
from .hospital import ROOT, Curbside, Ehr, patients
from .processes import Processes
from .tally import Missing, Tally

# Reports that the bundled model drafts for the bundled patients; fewer are nothing to compare with.
KNOWN_REPORTS = 17
COUNTERPARTS = ["orthanc", "hapi", "validators"]


@dataclass
class Baseline:
    """What curbside answers for one patient with the bundled EHR and PACS."""

    order: list
    chart: list


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/peers/run",
        description="Holds a curbside binary against software that nobody here wrote. "
        "Exit codes: 0 all agree, 1 one disagrees or is missing.",
    )
    parser.add_argument("binary", nargs="?", type=Path, help="curbside, built with its model runtime (default: target/release/curbside)")
    parser.add_argument("--only", action="append", choices=COUNTERPARTS, help="judge by this one alone; may be repeated")
    given = parser.parse_args()
    given.binary = (given.binary or ROOT / "target/release/curbside").resolve()
    given.only = given.only or COUNTERPARTS
    if not given.binary.is_file():
        parser.error(f"{given.binary} is no file; build it with cargo build --release, or name another")
    return given


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="curbside-peers-"))
    started = time.monotonic()
    rows, told = [], None
    try:
        install.everything(given.only)
        with Processes(folder) as processes:
            judge(given, processes, rows)
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(folder)
        raise
    except Missing as why:
        told = f"a counterpart is missing: {why}"
    except Exception:
        told = f"it broke off:\n{traceback.format_exc()}"
    failed = sum(row[0].failed for row in rows) + (told is not None)
    print(f"\n{'counterpart':<14}{'passed':>8}{'failed':>8}{'seconds':>9}  version")
    for tally, version in rows:
        print(f"{tally.counterpart:<14}{tally.passed:>8}{tally.failed:>8}{tally.ended:>9.0f}  {version}")
    if told:
        print(told)
    if failed:
        print(f"logs and answers are kept in {folder}")
    else:
        shutil.rmtree(folder)
    print(f"{time.monotonic() - started:.0f} s in all")
    print(f"{sum(row[0].passed for row in rows)} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def answered(lines):
    return json.loads("\n".join(lines))["answer"].keys() == {"cards"}


def judge(given, processes, rows):
    server = hapi.Hapi(processes) if "hapi" in given.only else None
    ehr = Ehr(processes, given.binary)
    bundled = Curbside(processes, given.binary, "with the bundled EHR and PACS", ehr.fhir, ehr.configuration)
    baseline = {name: Baseline(bundled.sign(path), bundled.view(path)) for name, path in patients().items()}
    reports = sum('"resourceType": "DiagnosticReport"' in line for one in baseline.values() for line in one.order)
    refused = [name for name, one in baseline.items() if not (answered(one.order) and answered(one.chart))]
    if refused or reports < KNOWN_REPORTS:
        raise Missing(f"a baseline to compare with: {reports} reports were drafted, and no answer came for {refused}")
    print(f"with the bundled EHR and PACS: {len(baseline)} patients, {reports} reports", flush=True)

    def counterpart(name, work):
        if name in given.only:
            tally = Tally(name)
            rows.append([tally, "did not finish"])
            tally.ended = 0
            try:
                rows[-1][1] = work(tally)
            finally:
                tally.ended = tally.seconds()

    counterpart("orthanc", lambda t: orthanc.judge(t, processes, given.binary, ehr, bundled, baseline))
    counterpart("validators", lambda t: validators.judge(t, processes.folder / "resources", bundled, reports))
    counterpart("hapi", lambda t: hapi.judge(t, processes, given.binary, ehr, server, baseline))


sys.exit(main())
