"""The process in which runs are trained: its threads, its products, its memory."""

import ctypes
import os
import resource
import sys

import torch

LARGEST_PRODUCT_ERROR = 1e-5
"""Relative; fp32 products of 256 numbers err by some 1e-7 to 1e-6, those of bf16 by 1e-3."""

KEPT_BYTES = 1 << 28
"""Blocks up to this size are kept when they are freed. An activation of an update takes 0.15 GB;
the replay, which is one block, takes more and has its own mapping."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def set_up_process(threads: int = 1) -> None:
    """Sets what holds for the whole process: threads, fp32 products, and freed memory.

    "medium" lets a CPU hand fp32 products to oneDNN, which computes them in fp32 on AVX-512
    machines and faster than torch does. Where it takes the permission to compute them in bf16,
    as it may on machines with AMX, "highest" forbids it: fp32 means fp32 in every record.
    """
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("medium")
    if product_error() > LARGEST_PRODUCT_ERROR:
        torch.set_float32_matmul_precision("highest")
    keep_freed_memory()


def set_up_gpu() -> None:
    """Lets fp32 be fp32 on a GPU, and equal operations give equal bits, before it is first used.

    TF32 has 10 bits of mantissa. cuDNN may choose algorithms that sum in the order in which
    threads happen to finish; cuBLAS may where it shares its workspace between queues.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def product_error() -> float:
    """Relative error of a matrix product as this process computes it, against float64."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    return float(((a @ b).double() - exact).norm() / exact.norm())


def keep_freed_memory() -> None:
    """Lets the allocator keep what an update frees, for the next update to use.

    glibc gives large blocks back to the kernel at once and gets them anew, page by page, each
    filled with zeros: up to a quarter of the time of an update. Other allocators are left alone.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, ctypes.c_int(2**31 - 1))


def peak_memory_bytes(device: torch.device) -> int:
    """The most that this process has taken so far; on a GPU, what it set aside for tensors.

    A graph keeps what it has set aside, in use or not. Libraries take more besides.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
