"""Training: a step over all devices, a state that is saved and resumed exactly, a loop that survives interruption."""
