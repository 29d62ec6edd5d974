"""A distilled student over HTTP: post the bytes of a picture, get its classes.

    STUDENT=student.onnx python -m uvicorn app:app
    curl --data-binary @picture.png http://127.0.0.1:8000/classify

It needs no PyTorch. The file knows the shape of its input, the names of its classes, and how pixels
are normalised (`kd.export_onnx` has put all three there), so nothing of that is repeated here.
"""

import io
import json
import os
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI, HTTPException, Request
from PIL import Image, ImageOps
from starlette.concurrency import run_in_threadpool

LARGEST = 10 * 2**20  # bytes of a posted picture

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1  # the service answers several at once instead
student = onnxruntime.InferenceSession(os.environ.get("STUDENT", "student.onnx"), options)
classes: list[str] = json.loads(student.get_modelmeta().custom_metadata_map["classes"])
_, channels, height, width = student.get_inputs()[0].shape

app = FastAPI(title="A distilled student")


@app.get("/health")
async def health() -> dict[str, Any]:
    return {"classes": classes, "pixels": [channels, height, width]}


@app.post("/classify")
async def classify(request: Request) -> dict[str, Any]:
    content, size = bytearray(), 0
    async for chunk in request.stream():  # to its end, or who is still sending hears no answer
        size += len(chunk)
        content += chunk if size <= LARGEST else b""
    if size > LARGEST:
        raise HTTPException(413, f"a picture may have {LARGEST:,} bytes")
    if not content:
        raise HTTPException(400, "the body is empty: post the bytes of a picture")
    return await run_in_threadpool(answer, bytes(content))


def answer(content: bytes) -> dict[str, Any]:
    (logits,) = student.run(["logits"], {"pixels": pixels_of(content)})
    powers = np.exp(logits[0] - logits[0].max())
    shares = (powers / powers.sum()).tolist()
    return {
        "class": classes[int(logits[0].argmax())],
        "probabilities": dict(zip(classes, shares, strict=True)),
    }


def pixels_of(content: bytes) -> np.ndarray:
    """uint8 [1, C, H, W]: upright, cut to the shape of the input and scaled."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB" if channels == 3 else "L")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise HTTPException(400, "these bytes are no picture that can be read") from None
    fitted = upright if upright.size == (width, height) else ImageOps.fit(upright, (width, height))
    return np.asarray(fitted).reshape(height, width, channels).transpose(2, 0, 1)[None].copy()
