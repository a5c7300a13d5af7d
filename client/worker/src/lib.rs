//! Worker: slots, leases, child processes, checkpoints
