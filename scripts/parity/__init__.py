"""What `check_parity.py` compares: one module for each file of reference numbers, `compare(assets, golden)` in each."""
