"""What the `emoca` command can do, one file per word. Heavy imports wait until a command runs."""
