"""What the command line does: one file per command. Only this room wires the others."""
