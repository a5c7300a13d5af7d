//! Search space, points, goals, rung ladder, seeds, study view and the Solver trait
