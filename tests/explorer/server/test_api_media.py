"""Pictures."""

import io

import numpy as np
import pytest
from PIL import Image


def test_a_picture_is_the_tasks_own_pixels(client, world):
    answer = client.get("/api/image/a/train/3.png")
    assert answer.headers["content-type"] == "image/png"
    assert "max-age" in answer.headers["cache-control"]
    pixels = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert (pixels == world.task.view.images["train"][3]).all()


@pytest.mark.parametrize(
    "where", ["a/train/20.png", "a/valid/0.png", "b/train/0.png", "c/train/0.png", "a/train/x.png"]
)
def test_no_such_picture(client, where):
    assert client.get(f"/api/image/{where}").status_code in (404, 422)


@pytest.mark.parametrize(
    "where", ["a/train/..%2f..%2fstudy.json", "../../study.json", "a/..%2f/0.png", "a/train/%00.png", "//etc/passwd"]
)
def test_no_way_to_other_files(client, where):
    answer = client.get(f"/api/image/{where}")
    assert answer.status_code in (404, 422)
    assert "format" not in answer.text
