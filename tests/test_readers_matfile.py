"""MATLAB files: the shared ones, written ones, broken ones."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from posewright.errors import SourceError
from posewright.readers.matfile import read_mat


def test_shared_files(data_dir: Path) -> None:
    joints = read_mat(data_dir / "lspet" / "joints.mat")["joints"]
    assert joints.shape == (14, 3, 10000) and joints.dtype == np.float64
    labels = np.load(data_dir / "lspet" / "labels.npz")
    arrays = [
        labels[k] for k in labels.files if labels[k].dtype.kind == "f" and labels[k].ndim == 3
    ]
    assert any(np.isin(a[0].ravel()[:6], joints[..., 0]).all() for a in arrays) or not arrays
    mpii = read_mat(data_dir / "eval_reference" / "mpii_pckh" / "detections_our_format.mat")
    assert mpii["jnt_missing"].dtype == np.uint8 and mpii["pos_gt_src"].shape == (16, 2, 2958)
    names = [str(name[0, 0]) for name in mpii["dataset_joints"][0]]
    assert names[:3] == ["rank", "rkne", "rhip"] and len(names) == 16


def test_cells_and_structs(data_dir: Path) -> None:
    path = data_dir / "bonn_posetrack" / "annolist" / "test" / "annolist.mat"
    videos = read_mat(path)["annolist"]
    assert videos.shape == (30, 1) and videos[0, 0]["name"] == "000002"
    frames = videos[0, 0]["annopoints"]
    assert frames.dtype == object and frames.shape == (4, 151)
    person = frames[0, 0][0, 0]
    assert person["head_rect"].shape == (1, 4)
    assert person["point"].shape[1] == 12 and person["point"][0, 0]["x"][0, 0] > 0
