//! Problems with known optima, simulated workers and the solver conformance suite
