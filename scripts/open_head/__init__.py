"""The parts of `build_open_head.py`: from MakeHuman's CC0 data to the head that ships with the package."""
