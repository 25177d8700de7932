"""Who writes to the broker in memory lets go of it while it is replaced by an empty one."""
