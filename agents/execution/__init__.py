"""How programs are carried out: operation by operation, or as graphs of a device."""
