"""Does one thing once for each line it reads, and says how many seconds that took: python worker.py json|fhir|film FILE."""

import io
import json
import sys
import time
from pathlib import Path


def parsed(bundle):
    return lambda: len(json.loads(bundle)["entry"])


def typed(bundle):
    from fhir.resources.R4B.bundle import Bundle

    return lambda: len(Bundle.model_validate_json(bundle).entry)


def tensor(file):
    import numpy as np
    import pydicom
    from PIL import Image

    def read():
        film = pydicom.dcmread(io.BytesIO(file))
        half = film.WindowWidth // 2
        low, high = film.WindowCenter - half, film.WindowCenter + half
        values = np.clip((np.arange(4096) - low) / (high - low), 0, 1)
        grey = np.rint(values * 255).astype(np.uint8)[film.pixel_array]
        side = max(grey.shape)
        square = Image.new("L", (side, side))
        square.paste(Image.fromarray(grey), ((side - grey.shape[1]) // 2, (side - grey.shape[0]) // 2))
        return np.asarray(square.resize((896, 896), Image.Resampling.BILINEAR).convert("RGB"))

    return lambda: read().size


work = {"json": parsed, "fhir": typed, "film": tensor}[sys.argv[1]](Path(sys.argv[2]).read_bytes())
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    if not work():
        sys.exit("nothing came out")
    print(time.perf_counter() - start, flush=True)
