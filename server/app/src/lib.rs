//! Use cases, planner, reaper and change feed
