"""The command line, one file a command. Exit codes: 0 done, 1 not done, 2 wrong use or wrong configuration."""
