//! State machines of studies, trials, leases and budgets; no I/O
