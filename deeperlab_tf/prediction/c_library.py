"""Running a graph by TensorFlow's own C library, without its Python side.

Importing TensorFlow takes longer than everything else between a photo and its parse; its library
loads in a fifth of a second. Only what is stable is used: the functions of TensorFlow's c_api.h.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Arrays = Mapping[str, np.ndarray]

# A ConfigProto: Grappler and the folding of constants are off, for they take several times as long
# as they can save here; operations without a GPU kernel run on the CPU, and a GPU's memory is taken
# as it is needed.
SESSION_CONFIG = bytes.fromhex("32022001380152121a0b18ffffffffffffffffff015203980101")

_NAMES = {  # of the library that holds the operations, and of the one that it needs
    "linux": ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"),
    "darwin": ("libtensorflow_framework.2.dylib", "libtensorflow_cc.2.dylib"),
}
_DTYPES = {1: np.float32, 3: np.int32, 4: np.uint8}  # TF_DataType
_NUMBERS = {np.dtype(dtype): number for number, dtype in _DTYPES.items()}

_Pointer = ctypes.c_void_p


class CLibraryError(RuntimeError):
    """There is no such library here, or it cannot do what it was asked for."""


class _Output(ctypes.Structure):
    """TF_Output: an operation and the number of one of its results."""

    _fields_ = (("operation", _Pointer), ("index", ctypes.c_int))


class Session:
    """A graph, ready to run; several threads may run it at once.

    Args:
      graph: a serialised GraphDef.
      constants: arrays that take the place of the graph's placeholders, by their names.

    Raises:
      CLibraryError: the library is missing, or does not take the graph.

    Example:
      session = Session(graph, {"weights/stem/kernel": kernel})
      session.run({"images": images}, ["parse/panoptic"])
    """

    def __init__(self, graph: bytes, constants: Arrays) -> None:
        self._library = load_library()
        self._graph = self._library.TF_NewGraph()
        sessions = []
        finalizer = weakref.finalize(self, _close, self._library, self._graph, sessions)
        finalizer.atexit = False  # the process gives back everything
        self._add(graph, constants)
        self._session = _new_session(self._library, self._graph)
        sessions.append(self._session)

    def run(self, feeds: Arrays, fetches: Sequence[str]) -> dict[str, np.ndarray]:
        """Runs what is needed of the graph.

        Args:
          feeds: arrays by the names of operations, whose first result they take the place of.
          fetches: names of operations.

        Returns:
          dict of the first result of each of `fetches`: float32, int32 or uint8.

        Raises:
          CLibraryError: an operation fails, or there is none of that name.
        """
        library = self._library
        inputs = (_Output * len(feeds))(*(self._output(name) for name in feeds))
        outputs = (_Output * len(fetches))(*(self._output(name) for name in fetches))
        values = (_Pointer * len(feeds))(*(_new_tensor(library, array) for array in feeds.values()))
        results = (_Pointer * len(fetches))()
        try:
            with _Status(library) as status:
                fed = inputs, values, len(feeds)
                fetched = outputs, results, len(fetches)
                library.TF_SessionRun(self._session, None, *fed, *fetched, None, 0, None, status)
            return {name: _to_array(library, one) for name, one in zip(fetches, results)}
        finally:
            for tensor in (*values, *filter(None, results)):
                library.TF_DeleteTensor(tensor)

    def _output(self, name):
        operation = self._library.TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise CLibraryError(f"the graph has no operation {name}")
        return _Output(operation, 0)

    def _add(self, graph, constants):
        """Imports the graph, with constants in the place of placeholders."""
        library = self._library
        options = library.TF_NewImportGraphDefOptions()
        buffer = library.TF_NewBufferFromString(graph, len(graph))
        try:
            for name, array in constants.items():
                operation = self._add_constant(f"constant/{name}", array)
                replacement = _Output(operation, 0)
                library.TF_ImportGraphDefOptionsAddInputMapping(
                    options, name.encode(), 0, replacement
                )
            with _Status(library) as status:
                library.TF_GraphImportGraphDef(self._graph, buffer, options, status)
        finally:
            library.TF_DeleteBuffer(buffer)
            library.TF_DeleteImportGraphDefOptions(options)

    def _add_constant(self, name, array):
        library = self._library
        description = library.TF_NewOperation(self._graph, b"Const", name.encode())
        tensor = _new_tensor(library, array)
        try:
            with _Status(library) as status:
                library.TF_SetAttrTensor(description, b"value", tensor, status)
            library.TF_SetAttrType(description, b"dtype", _NUMBERS[array.dtype])
            with _Status(library) as status:
                return library.TF_FinishOperation(description, status)
        finally:
            library.TF_DeleteTensor(tensor)


def _new_session(library, graph):
    options = library.TF_NewSessionOptions()
    try:
        with _Status(library) as status:
            library.TF_SetConfig(options, SESSION_CONFIG, len(SESSION_CONFIG), status)
        with _Status(library) as status:
            return library.TF_NewSession(graph, options, status)
    finally:
        library.TF_DeleteSessionOptions(options)


def _close(library, graph, sessions):
    """Frees a `Session`'s graph, and the session if there is one."""
    for session in sessions:
        with _Status(library) as status:
            library.TF_DeleteSession(session, status)
    library.TF_DeleteGraph(graph)


# === The library ===


class _Signature(NamedTuple):
    result: Any
    arguments: tuple


_FUNCTIONS = {
    "TF_AllocateTensor": _Signature(
        _Pointer, (ctypes.c_int, _Pointer, ctypes.c_int, ctypes.c_size_t)
    ),
    "TF_DeleteBuffer": _Signature(None, (_Pointer,)),
    "TF_DeleteGraph": _Signature(None, (_Pointer,)),
    "TF_DeleteImportGraphDefOptions": _Signature(None, (_Pointer,)),
    "TF_DeleteSession": _Signature(None, (_Pointer, _Pointer)),
    "TF_DeleteSessionOptions": _Signature(None, (_Pointer,)),
    "TF_DeleteStatus": _Signature(None, (_Pointer,)),
    "TF_DeleteTensor": _Signature(None, (_Pointer,)),
    "TF_Dim": _Signature(ctypes.c_int64, (_Pointer, ctypes.c_int)),
    "TF_FinishOperation": _Signature(_Pointer, (_Pointer, _Pointer)),
    "TF_GetCode": _Signature(ctypes.c_int, (_Pointer,)),
    "TF_GraphImportGraphDef": _Signature(None, (_Pointer,) * 4),
    "TF_GraphOperationByName": _Signature(_Pointer, (_Pointer, ctypes.c_char_p)),
    "TF_ImportGraphDefOptionsAddInputMapping": _Signature(
        None, (_Pointer, ctypes.c_char_p, ctypes.c_int, _Output)
    ),
    "TF_Message": _Signature(ctypes.c_char_p, (_Pointer,)),
    "TF_NewBufferFromString": _Signature(_Pointer, (ctypes.c_char_p, ctypes.c_size_t)),
    "TF_NewGraph": _Signature(_Pointer, ()),
    "TF_NewImportGraphDefOptions": _Signature(_Pointer, ()),
    "TF_NewOperation": _Signature(_Pointer, (_Pointer, ctypes.c_char_p, ctypes.c_char_p)),
    "TF_NewSession": _Signature(_Pointer, (_Pointer,) * 3),
    "TF_NewSessionOptions": _Signature(_Pointer, ()),
    "TF_NewStatus": _Signature(_Pointer, ()),
    "TF_NumDims": _Signature(ctypes.c_int, (_Pointer,)),
    "TF_SessionRun": _Signature(
        None,
        (
            *(_Pointer, _Pointer),
            *(_Pointer, _Pointer, ctypes.c_int),  # fed
            *(_Pointer, _Pointer, ctypes.c_int),  # fetched
            *(_Pointer, ctypes.c_int, _Pointer, _Pointer),
        ),
    ),
    "TF_SetAttrTensor": _Signature(None, (_Pointer, ctypes.c_char_p, _Pointer, _Pointer)),
    "TF_SetAttrType": _Signature(None, (_Pointer, ctypes.c_char_p, ctypes.c_int)),
    "TF_SetConfig": _Signature(None, (_Pointer, ctypes.c_char_p, ctypes.c_size_t, _Pointer)),
    "TF_TensorByteSize": _Signature(ctypes.c_size_t, (_Pointer,)),
    "TF_TensorData": _Signature(_Pointer, (_Pointer,)),
    "TF_TensorType": _Signature(ctypes.c_int, (_Pointer,)),
}


class _Library:
    """The functions of `_FUNCTIONS` as attributes."""

    def __init__(self, paths):
        libraries = [ctypes.CDLL(path) for path in paths]
        for name, signature in _FUNCTIONS.items():
            # Some are in the one, some in the other.
            function = next(getattr(one, name) for one in libraries if hasattr(one, name))
            function.restype = signature.result
            function.argtypes = signature.arguments
            setattr(self, name, function)


def choose_kernels() -> None:
    """Has TensorFlow take oneDNN's kernels, if nothing else was said and it is not loaded yet.

    They are its default on the newest processors, and a fifth faster on the others as well. They
    round otherwise than its own, so all that parses asks for them before TensorFlow is loaded:
    programs and their workers get the same numbers.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@functools.cache
def load_library() -> Any:
    """TensorFlow's C library: the functions of c_api.h as attributes.

    Raises:
      CLibraryError: TensorFlow is not installed, or in another form than on Linux and macOS.
    """
    # Finding a package does not import it.
    package = importlib.util.find_spec("tensorflow")
    names = _NAMES.get(sys.platform)
    if package is None or names is None:
        raise CLibraryError("there is no C library of TensorFlow here")
    folder = os.path.dirname(package.origin)
    choose_kernels()
    try:
        return _Library([os.path.join(folder, name) for name in names])
    except (OSError, StopIteration) as error:
        raise CLibraryError(f"TensorFlow's C library cannot be loaded ({error})") from error


class _Status:
    """A TF_Status; leaving the block raises what it says."""

    def __init__(self, library):
        self._library = library
        self._status = library.TF_NewStatus()

    def __enter__(self):
        return self._status

    def __exit__(self, kind, *_):
        message = self._library.TF_Message(self._status).decode(errors="replace")
        failed = self._library.TF_GetCode(self._status) != 0
        self._library.TF_DeleteStatus(self._status)
        if failed and kind is None:
            raise CLibraryError(message)


# === Tensors ===


def _new_tensor(library, array):
    """A TF_Tensor with a copy of an array; to be deleted."""
    array = np.ascontiguousarray(array)
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    number = _NUMBERS[array.dtype]
    tensor = library.TF_AllocateTensor(number, shape, array.ndim, array.nbytes)
    ctypes.memmove(library.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
    return tensor


def _to_array(library, tensor):
    """A copy of a TF_Tensor as an array."""
    shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
    array = np.empty(shape, _DTYPES[library.TF_TensorType(tensor)])
    assert array.nbytes == library.TF_TensorByteSize(tensor)
    ctypes.memmove(array.ctypes.data, library.TF_TensorData(tensor), array.nbytes)
    return array
