"""The served example, as a process of its own on the loopback."""

import io
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import torch
from PIL import Image

import kdhelpers as kd

FOLDER = Path(__file__).parent.parent / "examples" / "serve"
PICTURES = kd.load("photodigits").test.take(20)


@pytest.fixture(scope="module")
def student() -> torch.nn.Module:
    return kd.build("small_cnn", width=0.1, seed=0)


@pytest.fixture(scope="module")
def address(student: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = kd.export_onnx(student, tmp_path_factory.mktemp("serve") / "student.onnx", PICTURES)
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", "0"]
    where = dict(cwd=FOLDER, env=os.environ | {"STUDENT": str(path)}, text=True)
    with subprocess.Popen(command, stderr=subprocess.PIPE, **where) as server:  # type: ignore[call-overload]
        said = []
        for line in server.stderr:
            said.append(line)
            if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                yield found[1]
                break
        else:
            pytest.fail("".join(said))
        server.terminate()


def asked(address: str, content: bytes | None = None, place: str = "classify") -> tuple[int, Any]:
    """Status and answer; with content it is posted."""
    local = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with local.open(f"{address}/{place}", content, timeout=60) as reply:
            return reply.status, json.load(reply)
    except HTTPError as error:
        return error.code, json.load(error)


def png(pixels: torch.Tensor, size: int | None = None) -> bytes:
    picture, file = Image.fromarray(pixels.permute(1, 2, 0).numpy()), io.BytesIO()
    (picture.resize((size, size)) if size else picture).save(file, "PNG")
    return file.getvalue()


def test_a_posted_picture_gets_the_students_own_answer(
    address: str, student: torch.nn.Module
) -> None:
    wanted = kd.predict(student, PICTURES).softmax(1)
    for number in (0, 7):
        status, told = asked(address, png(PICTURES.images[number]))
        assert status == 200
        shares = torch.tensor(list(told["probabilities"].values()))
        torch.testing.assert_close(shares, wanted[number], atol=1e-4, rtol=1e-3)
        assert told["class"] == PICTURES.classes[int(wanted[number].argmax())]
    status, told = asked(address, png(PICTURES.images[0], size=100))
    assert (status, set(told["probabilities"])) == (200, set(PICTURES.classes))


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 400, "the body is empty"),
        (b"no picture at all", 400, "no picture that can be read"),
        (png(PICTURES.images[0])[:400], 400, "no picture that can be read"),
        (bytes(11 * 2**20), 413, "a picture may have"),
    ],
)
def test_what_is_no_picture_is_told_and_the_service_goes_on(
    address: str, content: bytes, status: int, words: str
) -> None:
    answered, told = asked(address, content)
    assert answered == status
    assert words in told["detail"]
    assert asked(address, place="health") == (
        200, {"classes": list(PICTURES.classes), "pixels": [3, 32, 32]},
    )  # fmt: skip
