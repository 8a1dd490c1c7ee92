"""The verbs of the node, one public verb a file. Steps read rows in one state and write rows in the next."""
