"""The lab's commands, one file each: `add` says what it takes, `run` does it and returns the exit code."""
