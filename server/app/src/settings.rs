//! Settings and limits of the use cases.

/// Limits that a request may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest page of a list.
    pub page: u32,
    /// Most open leases of one worker.
    pub open_leases_per_worker: u32,
    /// Most trials of one study.
    pub trials_per_study: u64,
    /// Most reports of one trial.
    pub reports_per_trial: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            page: 1000,
            open_leases_per_worker: 4096,
            trials_per_study: 1_000_000,
            reports_per_trial: 100_000,
        }
    }
}

/// Settings of an [`crate::App`].
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Limits.
    pub limits: Limits,
    /// A plan that takes longer is given up.
    pub plan_deadline_seconds: f64,
    /// Plans computed at once.
    pub planners: usize,
    /// Whether a token is required even while none is stored: set when the server is reachable from other machines.
    pub require_token: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let planners = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { limits: Limits::default(), plan_deadline_seconds: 120.0, planners, require_token: false }
    }
}
