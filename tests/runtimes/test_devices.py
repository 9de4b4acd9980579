"""Devices that are not here: what onnxruntime is asked for, by a fake that records it."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from posewright.errors import MissingError, ModelError, OutputError, UsageError
from posewright.pose import Pose
from posewright.runtimes import devices, load_model, onnx
from posewright.runtimes.devices import device_memory, devices_here, parse_device
from posewright.runtimes.memory import Batches, most_views, ran_out
from posewright.weights import EMBEDDED
from tests.helpers.networks import dets_graph, simcc_graph

MOVENET = EMBEDDED["movenet-thunder"].path
GPU = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
ALL = (*GPU, "DmlExecutionProvider", "CoreMLExecutionProvider", "ROCMExecutionProvider")
CUDA = {
    "device_id": "0",
    "arena_extend_strategy": "kSameAsRequested",
    "cudnn_conv_algo_search": "HEURISTIC",
    "use_tf32": "0",
}
# as onnxruntime, cuDNN, cuBLAS, DirectML, torch and C++ say it
SHORTAGES = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv "
    "node. Name:'a' Status Message: Failed to allocate memory for requested buffer of size 4718592",
    "Available memory of 1048576 is smaller than requested bytes of 4194304",
    "CUDNN failure 4002: CUDNN_STATUS_ALLOC_FAILED ; GPU=0",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
    "CUDA failure 2: out of memory ; GPU=0",
    "8007000E Not enough memory resources are available to complete this operation.",
    "std::bad_alloc",
    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes",
)
OTHERS = ("Got invalid dimensions for input", "CUDA failure 719: unspecified launch failure", "")


class Machine:
    """What is installed, what starts, how many views fit; and what was asked of it."""

    def __init__(self) -> None:
        self.available: tuple[str, ...] = ALL
        self.started: tuple[str, ...] | None = None  # None: what was asked for
        self.fails = ""
        self.fits, self.shortage = 1 << 20, SHORTAGES[0]
        self.sessions: list[Session] = []
        self.calls: list[int] = []  # views of each call on a device

    @property
    def last(self) -> Session:
        return self.sessions[-1]


class Session:
    """A session that computes on the processor, whatever it was asked for."""

    machine: Machine

    def __init__(self, file: Any, options: Any, *, providers: list[Any], **further: Any) -> None:
        self.providers, self.options, self.further = providers, options, further
        self.names = tuple(name for name, _ in providers)
        self.on_device = self.names != ("CPUExecutionProvider",)
        self.running = threading.Lock()
        if self.on_device and self.machine.fails:
            raise RuntimeError(self.machine.fails)
        self.real = REAL(file, ort.SessionOptions(), providers=["CPUExecutionProvider"])
        self.machine.sessions.append(self)

    def get_providers(self) -> list[str]:
        started = self.machine.started if self.on_device else None
        return [*(self.names if started is None else started), "CPUExecutionProvider"]

    def run(self, names: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        if self.on_device:
            assert self.running.acquire(blocking=False), "two calls at once"
            try:
                views = len(next(iter(feed.values())))
                self.machine.calls.append(views)
                if views > self.machine.fits:
                    raise RuntimeError(self.machine.shortage)
            finally:
                self.running.release()
        found: list[np.ndarray] = self.real.run(names, feed)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


REAL = ort.InferenceSession


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    made = Machine()
    monkeypatch.setattr(Session, "machine", made, raising=False)
    monkeypatch.setattr(ort, "InferenceSession", Session)
    monkeypatch.setattr(ort, "get_available_providers", lambda: list(made.available))
    monkeypatch.setattr(ort, "preload_dlls", lambda: print("Failed to load libcudnn"))
    monkeypatch.setattr(onnx, "device_memory", lambda device: 0)
    monkeypatch.setenv("POSEWRIGHT_HOME", str(tmp_path / "home"))
    yield made


@pytest.mark.parametrize(
    ("device", "asked"),
    [
        ("cuda", [("CUDAExecutionProvider", CUDA)]),
        ("cuda:1", [("CUDAExecutionProvider", {**CUDA, "device_id": "1"})]),
        ("directml", [("DmlExecutionProvider", {"device_id": "0"})]),
        ("directml:2", [("DmlExecutionProvider", {"device_id": "2"})]),
        (
            "coreml",
            [("CoreMLExecutionProvider", {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"})],
        ),
        ("rocm", [("ROCMExecutionProvider", {"device_id": "0"})]),
    ],
)
def test_a_device_asks_for_its_provider(
    machine: Machine, device: str, asked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(MOVENET, device=device)
    assert machine.last.providers == asked
    assert model.runtime == f"onnxruntime {ort.__version__} {asked[0][0]} fp32"
    assert capsys.readouterr().out == ""  # nor does what looks for libraries print
    # no session is opened or run on the processor in its place
    assert [session.further for session in machine.sessions] == [{"enable_fallback": 0}] * 2
    options = machine.last.options
    assert options.enable_mem_pattern == (not device.startswith("directml"))
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL


def test_the_processor_is_asked_for_alone(machine: Machine) -> None:
    load_model(MOVENET, runtime="onnxruntime")
    assert machine.last.providers == [("CPUExecutionProvider", {})] and len(machine.sessions) == 1


@pytest.mark.parametrize(
    ("device", "package"),
    [
        ("cuda", "pip install onnxruntime-gpu"),
        ("tensorrt", "pip install onnxruntime-gpu, and install TensorRT"),
        ("directml", "pip install onnxruntime-directml"),
        ("coreml", "onnxruntime for macOS"),
        ("rocm", "pip install onnxruntime-rocm"),
    ],
)
def test_a_missing_provider_is_an_error_that_names_its_package(
    machine: Machine, device: str, package: str
) -> None:
    machine.available = ("AzureExecutionProvider", "CPUExecutionProvider")
    with pytest.raises(MissingError, match=f"{device}' needs .*Azure.*; .*{package}") as no:
        load_model(MOVENET, device=device)
    assert "\n" not in str(no.value) and machine.sessions == []


@pytest.mark.parametrize(
    ("device", "started"),
    [
        ("cuda", ()),
        ("coreml", ()),
        ("directml", ("CUDAExecutionProvider",)),
        ("tensorrt", ("CUDAExecutionProvider",)),
        ("tensorrt", ("TensorrtExecutionProvider",)),
        ("tensorrt", ("CUDAExecutionProvider", "TensorrtExecutionProvider")),
    ],
)
def test_other_providers_than_those_asked_for_are_an_error(
    machine: Machine, device: str, started: tuple[str, ...]
) -> None:
    machine.started = started
    with pytest.raises(MissingError, match=f"device '{device}': onnxruntime started .*CPU"):
        load_model(MOVENET, device=device)


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "directml"])
def test_a_device_that_does_not_open_a_file_is_not_the_file_s_fault(
    machine: Machine, device: str
) -> None:
    machine.fails = "CUDA failure 100: no CUDA-capable device is detected"
    with pytest.raises(MissingError, match=f"'{device}': .*no CUDA-capable device.*check the dr"):
        load_model(MOVENET, device=device)


@pytest.mark.parametrize("name", ["cuda:", "cuda:x", "cuda:-1", "cpu:0", "coreml:1", "cuda:1:2"])
def test_numbers_are_of_gpus(name: str) -> None:
    with pytest.raises(UsageError, match="a number from 0 on may follow cuda"):
        parse_device(name)


def test_devices_whose_providers_are_all_here() -> None:
    assert devices_here(["CPUExecutionProvider"]) == ["cpu"]
    assert devices_here(["TensorrtExecutionProvider", "CPUExecutionProvider"]) == ["cpu"]
    assert devices_here(GPU) == ["cpu", "cuda", "tensorrt"]


def test_a_pose_runs_both_networks_on_the_device(machine: Machine) -> None:
    pose = Pose(device="directml:1", threads=4)
    pose(np.full((200, 300, 3), 128, np.uint8), color="rgb")
    asked = [s.providers for s in machine.sessions if s.on_device]
    assert asked == [[("DmlExecutionProvider", {"device_id": "1"})]] * 2 and machine.calls


# --- batches -------------------------------------------------------------------------------------


def views(count: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    grey = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(grey, (count, size[1], size[0], 3)).copy()


@pytest.fixture
def simcc(tmp_path: Path) -> Path:
    file = tmp_path / "rtmpose.onnx"
    file.write_bytes(simcc_graph())
    return file


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_a_call_that_runs_out_of_memory_is_halved_and_the_number_remembered(
    machine: Machine, simcc: Path, shortage: str
) -> None:
    machine.fits, machine.shortage = 5, shortage
    model = load_model(simcc, device="cuda")
    expected = load_model(simcc, runtime="onnxruntime")(views(20))
    found = model(views(20))
    assert machine.calls == [20, 10, 5, 5, 5, 5]
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    machine.calls.clear()
    assert len(model(views(12))["x"]) == 12 and machine.calls == [5, 5, 5]
    model(views(3))
    assert machine.calls == [5, 5, 5, 3]


def test_a_single_view_that_does_not_fit_is_an_error(machine: Machine, simcc: Path) -> None:
    machine.fits = 0
    with pytest.raises(ModelError, match=r"failed on an input of shape \(6, 64, 48, 3\): .*memory"):
        load_model(simcc, device="cuda")(views(6))
    assert machine.calls == [6, 3, 1]


def test_a_fixed_batch_is_not_halved(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "rtmdet.onnx"
    file.write_bytes(dets_graph())
    machine.fits = 0
    with pytest.raises(ModelError, match="memory"):
        load_model(file, device="cuda")(views(2, (320, 320)))
    assert machine.calls == [1]


@pytest.mark.parametrize("fault", OTHERS)
def test_other_failures_are_not_tried_again(machine: Machine, simcc: Path, fault: str) -> None:
    machine.fits, machine.shortage = 1, fault
    with pytest.raises(ModelError, match="failed on an input"):
        load_model(simcc, device="cuda")(views(4))
    assert machine.calls == [4]


def test_the_views_of_a_call_are_bounded_by_the_memory(
    machine: Machine, simcc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "device_memory", lambda device: 4 * 128 * 12 * 48 * 64 * 7)
    model = load_model(simcc, device="cuda")  # 7 views, of which 4 is the next power of two
    assert len(model(views(9))["x"]) == 9 and machine.calls == [4, 4, 4]


def test_the_rule_of_memory() -> None:
    view = 4 * 128 * 3 * 4 * 192 * 256  # four times what a view of 192 x 256 counts
    assert [most_views(view * n, (192, 256)) for n in (1, 2, 3, 4, 63, 64, 500)] == [
        1,
        2,
        2,
        4,
        32,
        64,
        64,
    ]
    assert most_views(view - 1, (192, 256)) == 1  # some view must go
    assert most_views(0, (192, 256)) == 64  # not known


def test_shortages_are_told_from_other_failures() -> None:
    assert all(ran_out(RuntimeError(text)) for text in SHORTAGES) and ran_out(MemoryError())
    assert not any(ran_out(RuntimeError(text)) for text in OTHERS)


@pytest.mark.parametrize("alone", [True, False])
def test_calls_of_a_device_run_one_after_another(alone: bool) -> None:
    both, met = threading.Barrier(2), []

    def call(arrays: list[np.ndarray]) -> list[np.ndarray]:
        try:
            both.wait(1.0 if alone else 30.0)  # for the other call
            met.append(True)
        except threading.BrokenBarrierError:
            both.reset()
            met.append(False)
        return arrays

    batches = Batches(alone=alone)
    threads = [threading.Thread(target=batches.run, args=([np.zeros(2)], 0, call)) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == [not alone] * 2


def test_memory_is_freed_before_the_next_try() -> None:
    said: list[str] = []

    def call(arrays: list[np.ndarray]) -> list[np.ndarray]:
        said.append(f"call {len(arrays[0])}")
        if len(arrays[0]) > 2:
            raise RuntimeError("CUDA out of memory")
        return arrays

    batches = Batches(alone=True, free=lambda: said.append("free"))
    assert batches.run([np.arange(7)], 0, call)[0].tolist() == list(range(7))
    assert said == ["call 7", "free", "call 3", "free", *["call 1"] * 7] and batches.most == 1


@pytest.mark.parametrize("device", ["cpu", "directml", "coreml", "rocm"])
def test_memory_that_nobody_is_asked_for(device: str) -> None:
    assert device_memory(parse_device(device)) == 0


@pytest.mark.parametrize(
    ("results", "expected"), [((0, 0, 0), 12 << 30), ((100, 0, 0), 0), ((0, 101, 0), 0)]
)
def test_the_memory_of_a_gpu_comes_from_its_driver(
    monkeypatch: pytest.MonkeyPatch, results: tuple[int, ...], expected: int
) -> None:
    asked: list[Any] = []

    class Driver:
        def __init__(self, name: str) -> None:
            asked.append(name)

        def cuInit(self, flags: int) -> int:
            return results[0]

        def cuDeviceGet(self, handle: Any, number: int) -> int:
            asked.append(number)
            return results[1]

        def cuDeviceTotalMem_v2(self, size: Any, handle: Any) -> int:
            size._obj.value = 12 << 30
            return results[2]

    monkeypatch.setattr("ctypes.CDLL", Driver)
    monkeypatch.setattr(devices.sys, "platform", "linux")
    assert device_memory(parse_device("cuda:3")) == expected
    assert asked[0] == "libcuda.so.1" and asked[1:] == ([] if results[0] else [3])


# --- TensorRT's engines --------------------------------------------------------------------------


def tensorrt(machine: Machine, file: Path = MOVENET, **options: Any) -> dict[str, str]:
    """Return what TensorRT is asked for."""
    load_model(file, device="tensorrt", **options)
    (first, told), (second, cuda) = machine.last.providers
    assert (first, second) == GPU[:2] and cuda == CUDA
    found: dict[str, str] = told
    return found


def test_tensorrt_stands_before_cuda_and_keeps_its_engines(machine: Machine, simcc: Path) -> None:
    told = tensorrt(machine, simcc)
    folder = Path(told.pop("trt_engine_cache_path"))
    assert told == {
        "device_id": "0",
        "trt_engine_cache_enable": "1",
        "trt_timing_cache_enable": "1",
        "trt_fp16_enable": "0",
        "trt_profile_min_shapes": "input:1x3x64x48",
        "trt_profile_opt_shapes": "input:64x3x64x48",
        "trt_profile_max_shapes": "input:64x3x64x48",
    }
    assert folder.parent == Path(os.environ["POSEWRIGHT_HOME"]) / "engines"
    for each in (folder, folder.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700
    model = load_model(simcc, device="tensorrt")  # no call is larger than the engine takes
    model(views(100))
    assert machine.calls == [64, 64]


def test_open_sides_of_a_view_are_those_of_the_codec(machine: Machine) -> None:
    assert tensorrt(machine)["trt_profile_max_shapes"].endswith(":64x256x192x3")
    detector = tensorrt(machine, EMBEDDED["nanodet-g-person"].path)  # its views have many sizes
    assert not [name for name in detector if "profile" in name]


def test_half_precision_is_for_tensorrt(machine: Machine) -> None:
    assert tensorrt(machine, precision="fp16")["trt_fp16_enable"] == "1"
    model = load_model(MOVENET, device="tensorrt", precision="fp16")
    assert model.runtime.endswith("TensorrtExecutionProvider fp16")
    for device in ("auto", "cpu", "cuda"):
        with pytest.raises(UsageError, match="fp16 is for the device tensorrt"):
            load_model(MOVENET, device=device, precision="fp16")


def test_engines_belong_to_a_file_and_versions(
    machine: Machine, simcc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(file: Path = simcc, **options: Any) -> str:
        return tensorrt(machine, file, **options)["trt_engine_cache_path"]

    other = tmp_path / "rtmpose-other.onnx"
    other.write_bytes(simcc.read_bytes())
    first = folder()
    assert folder() == first == folder(other)  # the same network under another name
    found = {first, folder(MOVENET), folder(precision="fp16")}
    other.write_bytes(simcc_graph(26))  # of the same views
    found.add(folder(other))
    monkeypatch.setattr(onnx, "device_memory", lambda device: 1 << 20)
    found.add(folder())  # an engine for smaller batches
    monkeypatch.setattr("posewright.runtimes.engines.package_version", lambda name: "99")
    found.add(folder())
    assert len(found) == 6


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders of Windows have no mode")
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
@pytest.mark.parametrize("inner", [False, True])
def test_engines_are_not_read_where_others_can_write(
    machine: Machine, simcc: Path, mode: int, inner: bool
) -> None:
    folder = Path(tensorrt(machine, simcc)["trt_engine_cache_path"])
    place = folder if inner else folder.parent
    place.chmod(mode)
    with pytest.raises(OutputError, match=f"{place} can be written by others.*chmod go-w") as no:
        tensorrt(machine, simcc)
    assert "\n" not in str(no.value)
    place.chmod(0o700)
    tensorrt(machine, simcc)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders of Windows have no mode")
def test_nobody_else_may_replace_the_folder_of_engines(machine: Machine, simcc: Path) -> None:
    home = Path(tensorrt(machine, simcc)["trt_engine_cache_path"]).parent.parent
    home.chmod(0o777)
    with pytest.raises(OutputError, match=f"{home} can be written by others"):
        tensorrt(machine, simcc)
    home.chmod(0o1777)  # as /tmp: others cannot rename what is not theirs
    tensorrt(machine, simcc)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders of Windows have no owner")
def test_engines_of_another_user_or_behind_a_link_are_not_read(
    machine: Machine, simcc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(tensorrt(machine, simcc)["trt_engine_cache_path"])
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match=f"{folder} is another user's folder or a link"):
        tensorrt(machine, simcc)
    folder.unlink()
    monkeypatch.setattr(os, "getuid", lambda: folder.parent.stat().st_uid + 1)
    with pytest.raises(OutputError, match="is another user's folder"):
        tensorrt(machine, simcc)


def test_a_folder_of_engines_that_cannot_be_made(machine: Machine, simcc: Path) -> None:
    home = Path(os.environ["POSEWRIGHT_HOME"])
    home.mkdir()
    (home / "engines").write_text("")
    with pytest.raises(OutputError, match=r"cannot be made .*POSEWRIGHT_HOME"):
        tensorrt(machine, simcc)
