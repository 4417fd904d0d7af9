"""What JAX calls of the kernels for NVIDIA GPUs (`warp_kernels/`), and whether they may draw unasked."""
