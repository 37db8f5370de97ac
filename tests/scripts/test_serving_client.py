"""An exported model on a server that speaks TF Serving's gRPC, the program and the clients that ask
it, and what can go wrong.
"""

import base64
import concurrent.futures
import http.server
import io
import json
import threading

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.export.client import GrpcClient, RestClient
from deeperlab_tf.export.serving_files import warmup_requests
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.prediction.predictor import Predictor


@pytest.fixture(scope="module")
def server(exported):
    pytest.importorskip("tensorflow_serving")
    # It needs that package.
    from benchmarks.local_server import LocalServer

    with LocalServer(str(exported), "toy") as running:
        yield running


def photo(height, width, seed=0):
    """A PNG of smooth noise."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).astype(np.uint8)
    return cv2.imencode(".png", cv2.resize(small, (width, height)))[1].tobytes()


def as_gif(path):
    """A GIF of the picture, which the program reads and the server refuses."""
    file = io.BytesIO()
    Image.open(path).save(file, "GIF")
    return file.getvalue()


def test_everything_a_server_needs_is_beside_the_model(exported, server):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    folder = exported.parent
    models = text_format.Parse(
        (folder / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    assert models.model_config_list.config[0].name == "toy"
    assert models.model_config_list.config[0].base_path == "/models/toy"
    assert "prometheus_config {\n  enable: true" in (folder / "monitoring.config").read_text()
    batching = (folder / "batching.config").read_text()
    assert "allowed_batch_sizes: 1\nallowed_batch_sizes: 2\n" in batching

    seen = []
    for signature, inputs in warmup_requests(str(exported)):
        outputs = server.module.signatures[signature](**inputs)
        seen.append((signature, outputs["panoptic"].shape.as_list()))
    signatures = ("serving_default", "image_bytes")
    shapes = ([1, 65, 65], [2, 65, 65])
    assert seen == [(name, shape) for name in signatures for shape in shapes]


@pytest.mark.slow
def test_the_client_writes_the_parses_the_predictor_gives(
    program, error_of, server, exported, workdir, tmp_path, assert_same_labels
):
    images = tmp_path / "images"
    images.mkdir()
    for index, size in enumerate([(48, 64), (40, 30), (65, 65)]):
        (images / f"{index}.png").write_bytes(photo(*size, seed=index))
    flags = (
        f"--server={server.address}",
        "--model=toy",
        f"--dataset={exported / 'assets' / 'dataset.json'}",
    )
    output = f"--output={tmp_path / 'out'}"
    done = program("serving_client.py", *flags, f"--input={images}", output, "--batch_size=2")
    assert done.returncode == 0, done.stderr
    predictor = Predictor(workdir)
    for index in range(3):
        files = PanopticFiles(str(tmp_path / "out" / f"{index}.json"), str(tmp_path / "out"))
        semantic, _, _ = files.read_labels(str(index))
        assert_same_labels(semantic, predictor(images / f"{index}.png").semantic)
        assert (tmp_path / "out" / f"{index}_overlay.jpg").exists()
    # One that cannot be read is left out, and so is one that only the server refuses; pictures of
    # one name all get results, and results of the run before are replaced.
    (images / "1.png").write_bytes(b"no image")
    (images / "0.jpg").write_bytes((images / "2.png").read_bytes())
    (images / "3.png").write_bytes(as_gif(images / "2.png"))
    done = program("serving_client.py", *flags, f"--input={images}", output, "--batch_size=3")
    assert "2 of 5 images were left out" in error_of(done)
    assert "1.png cannot be read" in done.stderr and "is neither a JPEG nor a PNG" in done.stderr
    for name in ("0_png", "0_jpg", "2"):
        assert (tmp_path / "out" / f"{name}_overlay.jpg").exists()


FIND_JOB = """
import sys
sys.path.insert(0, "scripts")
from serving_client import find_job
print("\\n".join(map(" ".join, find_job(sys.argv[1], "out").files.items())))
"""


def test_the_client_finds_what_predict_finds(program, error_of, tmp_path):
    for name in ("a.JPG", "a.jfif", "sub/b.webp", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photo(8, 8))
    (tmp_path / "film.mp4").write_bytes(b"")
    done = program("-c", FIND_JOB, tmp_path)
    passed_over, *found = done.stdout.splitlines()
    assert passed_over == "passed over 1 films, for a server parses images", done.stderr
    files = {"a_JPG": "a.JPG", "a_jfif": "a.jfif", "sub/b": "sub/b.webp"}
    assert found == [f"{name} {tmp_path / file}" for name, file in files.items()]
    flags = ("--model=toy", "--dataset=none", f"--output={tmp_path / 'out'}")
    done = program("serving_client.py", *flags, f"--input={tmp_path / 'film.mp4'}")
    assert "film.mp4 has no image" in error_of(done)


def test_a_bad_request_says_why_and_the_server_goes_on(server, assert_same_labels):
    client, good = GrpcClient(server.address, "toy"), photo(40, 30)
    expected = client([good])[0]["panoptic"]
    with pytest.raises(
        UserError, match=r"INVALID_ARGUMENT: image 1 of the batch \(the first is 0\) is neither"
    ):
        client([good, b"no image", good])
    with pytest.raises(UserError, match=r"image 0 of the batch .* is broken or cut off"):
        client([good[:-40]])
    with pytest.raises(UserError, match="the batch is empty"):
        client([])
    with pytest.raises(UserError, match="NOT_FOUND"):
        GrpcClient(server.address, "other")([good])
    assert_same_labels(client([good])[0]["panoptic"], expected)
    with pytest.raises(UserError, match="is the server running"):
        RestClient("localhost:1", "toy")([good])
    with pytest.raises(UserError, match="UNAVAILABLE"):
        GrpcClient("localhost:1", "toy", timeout=5)([good])


def test_rest_asks_and_reads_as_tf_serving_wants_it(server):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, body["signature_name"]))
            images = [base64.b64decode(item["b64"]) for item in body["inputs"]]
            try:
                outputs = server.module.signatures["image_bytes"](image_bytes=tf.constant(images))
                lists = {name: values.numpy().tolist() for name, values in outputs.items()}
                status, answer = 200, {"outputs": lists}
            except tf.errors.OpError as error:
                status, answer = 400, {"error": str(error)}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("localhost", 0), Handler) as rest:
        threading.Thread(target=rest.serve_forever, daemon=True).start()
        client = RestClient(f"localhost:{rest.server_port}", "toy")
        small, large = client([photo(40, 30), photo(48, 64)])
        with pytest.raises(UserError, match="answers 400: image 0 of the batch"):
            client([b""])
        rest.shutdown()
    assert asked[0] == ("/v1/models/toy:predict", "image_bytes")
    assert small["panoptic"].shape == (40, 30) and large["semantic"].shape == (48, 64)
    assert small["instance_score"].dtype == np.float32 and small["panoptic"].dtype == np.int32


@pytest.mark.slow
def test_many_clients_at_once_get_their_own_parses(server, assert_same_labels):
    images = [photo(20 + 7 * index, 60 - 5 * index, index) for index in range(6)]
    client = GrpcClient(server.address, "toy")
    expected = [client([image])[0]["panoptic"] for image in images]

    def ask(number):
        return client([images[number % 6]])[0]["panoptic"]

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(ask, range(120)))
    for number, panoptic in enumerate(answers):
        assert_same_labels(panoptic, expected[number % 6])
