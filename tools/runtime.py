"""What answers in the browser on the page that one draws on, as one script.

A page that was opened as a file may load scripts and nothing else. So ONNX Runtime Web (MIT, from
npm; fetched once, then kept in build/), its WebAssembly and the two networks stand in one script.
It runs on one thread: several need headers that only a server can send.
"""

import base64
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

NAME, VERSION = "onnxruntime-web", "1.30.0"
FILES = {"glue": "ort-wasm-simd-threaded.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}


def runtime(models: Path, kept: Path) -> str:
    """The script, with every .onnx of the folder `models`; what npm gives is kept in `kept`.

    Raises:
        OSError: there is no npm, or it cannot get the package.
    """
    archive = kept / f"{NAME}-{VERSION}.tgz"
    if not archive.exists():
        _fetch(kept)
    with tarfile.open(archive) as package:
        script, *found = (
            package.extractfile(f"package/dist/{name}").read()
            for name in ("ort.wasm.min.js", *FILES.values())
        )
    parts = dict(zip(FILES, found, strict=True))
    parts |= {path.stem: path.read_bytes() for path in sorted(models.glob("*.onnx"))}
    told = json.dumps({name: base64.b64encode(part).decode() for name, part in parts.items()})
    return f"{script.decode()}\nglobalThis.RUNTIME = {told};\n"


def _fetch(folder: Path) -> None:
    npm = shutil.which("npm")
    if not npm:
        raise FileNotFoundError("there is no npm (it comes with Node.js)")
    command = [npm, "pack", "--silent", "--pack-destination", folder, f"{NAME}@{VERSION}"]
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise OSError(f"npm cannot get {NAME} {VERSION}")
