"""The compiled backend: plans over libcnnfast. `CNNFAST_ISA`, `CNNFAST_NUM_THREADS` and `CNNFAST_MAX_WORKSPACE` are
read here, once."""

import os

from cnnfast.backends.native._native import (
    Chain,
    Plan,
    TensorCall,
    TensorCalls,
    algorithms,
    bytes_to_line,
    execute_at,
    get_max_workspace,
    get_num_threads,
    grad_activation,
    grad_batch_norm,
    isa,
    isas,
    plan_batch_norm,
    plan_conv2d,
    plan_conv2d_grad_input,
    plan_conv_transpose2d,
    plan_elementwise,
    plan_fused,
    plan_linear,
    plan_local_response_norm,
    plan_max_unpool2d,
    plan_pool2d,
    plan_pool2d_grad,
    plan_separable_conv2d,
    plan_softmax,
    plan_upsample2d,
    plan_upsample2d_grad,
    probe,
    run_batch_norm,
    run_conv2d_grad_weight,
    run_elementwise,
    run_local_response_norm,
    run_softmax,
    run_upsample2d,
    sample_at,
    set_isa,
    set_max_workspace,
    set_num_threads,
    settings,
    train_batch_norm,
    types_of,
    update_weight,
    version,
)

__all__ = [
    "Chain",
    "Plan",
    "TensorCall",
    "TensorCalls",
    "algorithms",
    "bytes_to_line",
    "execute_at",
    "get_max_workspace",
    "get_num_threads",
    "grad_activation",
    "grad_batch_norm",
    "isa",
    "isas",
    "plan_batch_norm",
    "plan_conv2d",
    "plan_conv2d_grad_input",
    "plan_conv_transpose2d",
    "plan_elementwise",
    "plan_fused",
    "plan_linear",
    "plan_local_response_norm",
    "plan_max_unpool2d",
    "plan_pool2d",
    "plan_pool2d_grad",
    "plan_separable_conv2d",
    "plan_softmax",
    "plan_upsample2d",
    "plan_upsample2d_grad",
    "probe",
    "run_batch_norm",
    "run_conv2d_grad_weight",
    "run_elementwise",
    "run_local_response_norm",
    "run_softmax",
    "run_upsample2d",
    "sample_at",
    "set_isa",
    "set_max_workspace",
    "set_num_threads",
    "settings",
    "train_batch_norm",
    "types_of",
    "update_weight",
    "version",
]

_threads = os.environ.get("CNNFAST_NUM_THREADS", "")
if _threads and not (_threads.isascii() and _threads.isdecimal() and 1 <= int(_threads) < 2**31):
    raise ValueError(f"CNNFAST_NUM_THREADS must be an integer >= 1, got {_threads!r}")
if os.environ.get("CNNFAST_ISA"):
    set_isa(os.environ["CNNFAST_ISA"])
_bytes = os.environ.get("CNNFAST_MAX_WORKSPACE", "")
if _bytes:
    if not (_bytes.isascii() and _bytes.isdecimal() and int(_bytes) < 2**63):
        raise ValueError(f"CNNFAST_MAX_WORKSPACE must be a number of bytes >= 0, got {_bytes!r}")
    set_max_workspace(max(1, int(_bytes)))
