"""Files as such: which are opened, how they are written, what their formats are called."""
