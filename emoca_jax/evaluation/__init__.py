"""Numbers that papers report, computed as their authors compute them."""
