"""Runs a SavedModel through TensorFlow's C API, from a process that has no Python TensorFlow: as a
server would.

python c_api.py JOB.json ARRAYS.npz RESULTS.npz

The job names the two libraries, the SavedModel, and runs: for each the input's tensor name, its
array in ARRAYS (or, for strings, files), and the output tensors' names. A run that fails gives its
message instead.
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np

STRING, DTYPES = 7, {1: np.float32, 3: np.int32, 4: np.uint8}
pointer = ctypes.c_void_p


class Output(ctypes.Structure):
    """TF_Output: an operation and the index of one of its results."""

    _fields_ = [("operation", pointer), ("index", ctypes.c_int)]


class CApi:
    """The few functions of the C API that loading and running take."""

    def __init__(self, framework, library):
        # The framework's symbols have to be visible to the library; both hold parts of the API.
        self.libraries = [
            ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL) for path in (framework, library)
        ]
        self.status = pointer(self("NewStatus", pointer))

    def __call__(self, name, result=None, *arguments):
        library = next(library for library in self.libraries if hasattr(library, f"TF_{name}"))
        function = getattr(library, f"TF_{name}")
        function.restype = result
        return function(*arguments)

    def check(self):
        if self("GetCode", ctypes.c_int, self.status):
            raise RuntimeError(self("Message", ctypes.c_char_p, self.status).decode())

    def load(self, folder):
        self.graph, options = (
            pointer(self("NewGraph", pointer)),
            pointer(self("NewSessionOptions", pointer)),
        )
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = pointer(
            self(
                "LoadSessionFromSavedModel",
                pointer,
                options,
                None,
                folder.encode(),
                tags,
                1,
                self.graph,
                None,
                self.status,
            )
        )
        self.check()

    def run(self, input_name, value, output_names):
        inputs, outputs = (Output * 1)(self.output(input_name)), (Output * len(output_names))()
        for index, name in enumerate(output_names):
            outputs[index] = self.output(name)
        feeds, results = (pointer * 1)(self.tensor(value)), (pointer * len(output_names))()
        self(
            "SessionRun",
            None,
            self.session,
            None,
            inputs,
            feeds,
            1,
            outputs,
            results,
            len(output_names),
            None,
            0,
            None,
            self.status,
        )
        self.check()
        return [self.array(pointer(result)) for result in results]

    def output(self, name):
        operation, index = name.rsplit(":", 1)
        found = self("GraphOperationByName", pointer, self.graph, operation.encode())
        assert found, name
        return Output(found, int(index))

    def tensor(self, value):
        if isinstance(value, list):
            return self.string_tensor(value)
        dtype = next(number for number, kind in DTYPES.items() if kind == value.dtype)
        shape = (ctypes.c_int64 * value.ndim)(*value.shape)
        tensor = self(
            "AllocateTensor", pointer, dtype, shape, value.ndim, ctypes.c_size_t(value.nbytes)
        )
        ctypes.memmove(
            self("TensorData", pointer, pointer(tensor)), value.ctypes.data, value.nbytes
        )
        return tensor

    def string_tensor(self, values):
        size = 24  # of a TF_TString
        shape = (ctypes.c_int64 * 1)(len(values))
        tensor = self(
            "AllocateTensor", pointer, STRING, shape, 1, ctypes.c_size_t(size * len(values))
        )
        data = self("TensorData", pointer, pointer(tensor))
        for index, value in enumerate(values):
            place = pointer(data + size * index)
            self("StringInit", None, place)
            self("StringCopy", None, place, value, ctypes.c_size_t(len(value)))
        return tensor

    def array(self, tensor):
        shape = [
            self("Dim", ctypes.c_int64, tensor, axis)
            for axis in range(self("NumDims", ctypes.c_int, tensor))
        ]
        size = self("TensorByteSize", ctypes.c_size_t, tensor)
        data = ctypes.string_at(self("TensorData", pointer, tensor), size)
        return np.frombuffer(data, DTYPES[self("TensorType", ctypes.c_int, tensor)]).reshape(shape)


def main(job_path, arrays_path, results_path):
    with open(job_path, encoding="utf-8") as file:
        job = json.load(file)
    arrays, results = np.load(arrays_path), {}
    api = CApi(job["framework"], job["library"])
    api.load(job["saved_model"])
    for name, run in job["runs"].items():
        value = (
            [Path(path).read_bytes() for path in run["files"]] if "files" in run else arrays[name]
        )
        try:
            for output, array in zip(
                run["outputs"], api.run(run["input"], value, list(run["outputs"].values()))
            ):
                results[f"{name}/{output}"] = array
        except RuntimeError as error:
            results[f"{name}/error"] = np.array(str(error))
    assert not {"tensorflow", "keras"} & set(sys.modules)
    np.savez(results_path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
