import ctypes
import subprocess
import sys

import pytest
import torch

from agents.training import process
from agents.training.process import set_up_process


@pytest.fixture(autouse=True)
def _as_it_was():
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


def test_a_processor_that_rounds_fp32_products_is_kept_from_it(monkeypatch):
    set_up_process()
    assert process.product_error() < process.LARGEST_PRODUCT_ERROR
    monkeypatch.setattr(process, "product_error", lambda: 2e-3)
    set_up_process()
    assert torch.get_float32_matmul_precision() == "highest"


def test_the_error_of_a_product_in_bf16_would_be_seen(monkeypatch):
    matmul = torch.Tensor.__matmul__

    def rounded(a, b):
        return matmul(a, b) if a.dtype == torch.float64 else matmul(a.bfloat16(), b.bfloat16())

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    assert process.product_error() > 100 * process.LARGEST_PRODUCT_ERROR


def test_a_process_is_set_to_its_threads_and_to_onednn_products(monkeypatch):
    monkeypatch.setattr(process, "product_error", lambda: 1e-7)
    set_up_process(threads=2)
    assert torch.get_num_threads() == 2
    assert torch.get_float32_matmul_precision() == "medium"


FAULTS = """
import resource, sys, torch
from agents.training.process import set_up_process
if sys.argv[1] == "kept":
    set_up_process()
for _ in range(5):  # until the heap is as large as it will be
    torch.empty(30_000_000).zero_()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.empty(30_000_000).zero_()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc"
)
def test_a_large_block_that_was_freed_is_used_again_without_asking_the_kernel():
    def page_faults(how):
        run = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(run, capture_output=True, text=True, check=True).stdout)

    assert page_faults("kept") < 1_000 < page_faults("given back")  # 5 x 29,297 pages
