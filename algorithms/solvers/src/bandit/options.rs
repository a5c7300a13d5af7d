//! Parameters of the rising bandit.

use boxwood_core::{SolverSpec, Unsupported};

use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameters of the bandit.
pub(crate) const BANDIT_PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "inner",
        kind: ParameterKind::Solver,
        meaning: "Solver inside each arm: a name, or an object with a name and parameters. Chosen by the rule of `auto` \
                  when absent: `mfes_async` with a fidelity, else `bo` or `forest`.",
    },
    ParameterInfo {
        name: "allocation",
        kind: ParameterKind::Choice { default: "leader", choices: &["leader", "turns"] },
        meaning: "Who is next among the arms that are left: the one with the best result while it improves, for \
                  `leader_share` of the trials, else each in turn; or always each in turn, as published.",
    },
    ParameterInfo {
        name: "leader_share",
        kind: ParameterKind::Number { default: 0.67, low: 0.0, high: 1.0 },
        meaning: "Share of the trials that the leader gets while it improves.",
    },
    ParameterInfo {
        name: "leader_gain",
        kind: ParameterKind::Number { default: 0.01, low: 0.0, high: 10.0 },
        meaning: "What its best result must gain over the last half of its pulls to count as improving, as a share of the \
                  standard deviation of the arms' bests.",
    },
    ParameterInfo {
        name: "leader_pulls",
        kind: ParameterKind::Integer { default: 10, low: 1, high: 1_000_000 },
        meaning: "Pulls before which a leader counts as improving.",
    },
    ParameterInfo {
        name: "window",
        kind: ParameterKind::Integer { default: 15, low: 1, high: 1000 },
        meaning: "Pulls over which an arm's slope is taken; no arm leaves before it has one more. As published: window 7, slack \
                  0, allocation turns.",
    },
    ParameterInfo {
        name: "pull_trials",
        kind: ParameterKind::Integer { default: 1, low: 1, high: 1000 },
        meaning: "Measured trials that make one pull.",
    },
    ParameterInfo {
        name: "slack",
        kind: ParameterKind::Number { default: 0.05, low: 0.0, high: 10.0 },
        meaning: "Margin by which an upper bound must stay below another arm's best, as a share of the spread between the \
                  arms' bests.",
    },
    ParameterInfo {
        name: "horizon_pulls",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 1_000_000_000 },
        meaning: "Pulls of the whole study, for the upper bounds. 0 is the budget of trials; without one, as many pulls \
                  again as were made.",
    },
    ParameterInfo {
        name: "remaining",
        kind: ParameterKind::Choice { default: "study", choices: &["study", "arm"] },
        meaning: "What remaining pulls are counted from: the pulls of the whole study (an arm that cannot win with all that \
                  is left leaves; the paper's experiments), or those of the arm (the paper's theorem, more patient).",
    },
    ParameterInfo {
        name: "cost_aware",
        kind: ParameterKind::Flag { default: false },
        meaning: "Whether remaining pulls and turns are counted in measured seconds instead of trials.",
    },
    ParameterInfo {
        name: "budget_seconds",
        kind: ParameterKind::OptionalNumber { low: 0.0, high: 1e15 },
        meaning: "Training seconds of the whole study, for cost-aware upper bounds.",
    },
    ParameterInfo {
        name: "failures",
        kind: ParameterKind::Integer { default: 5, low: 1, high: 1000 },
        meaning: "An arm whose first so many trials all fail is dropped.",
    },
];

/// How arms are compared; see the parameters of `rising_bandit`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BanditOptions {
    /// Whether each arm is pulled in turn, whoever leads.
    pub in_turn: bool,
    /// Share of the trials that an improving leader gets.
    pub leader_share: f64,
    /// Least gain of an improving leader over the last half of its pulls, in standard deviations of the arms' bests.
    pub leader_gain: f64,
    /// Pulls before which a leader counts as improving.
    pub leader_pulls: usize,
    /// Pulls over which a slope is taken.
    pub window: usize,
    /// Measured trials per pull.
    pub pull_trials: u64,
    /// Margin as a share of the spread between arms.
    pub slack: f64,
    /// Pulls of the whole study; 0 for the budget of trials.
    pub horizon_pulls: u64,
    /// Whether remaining pulls are counted from the arm's own pulls instead of the study's.
    pub patient: bool,
    /// Whether pulls are weighed by measured seconds.
    pub cost_aware: bool,
    /// Training seconds of the whole study.
    pub budget_seconds: Option<f64>,
    /// Failures from the first trial on that drop an arm.
    pub failures: usize,
}

impl BanditOptions {
    /// Reads the options out of the specification of a `rising_bandit`.
    pub fn read(spec: &SolverSpec) -> Result<Self, Unsupported> {
        let parameters = Parameters::new(spec, &[BANDIT_PARAMETERS]);
        parameters.finish()?;
        Ok(Self {
            in_turn: parameters.choice("allocation")? == "turns",
            leader_share: parameters.number("leader_share")?,
            leader_gain: parameters.number("leader_gain")?,
            leader_pulls: parameters.integer("leader_pulls")? as usize,
            window: parameters.integer("window")? as usize,
            pull_trials: parameters.integer("pull_trials")?,
            slack: parameters.number("slack")?,
            horizon_pulls: parameters.integer("horizon_pulls")?,
            patient: parameters.choice("remaining")? == "arm",
            cost_aware: parameters.flag("cost_aware")?,
            budget_seconds: parameters.optional_number("budget_seconds")?,
            failures: parameters.integer("failures")? as usize,
        })
    }
}

impl Default for BanditOptions {
    fn default() -> Self {
        Self::read(&SolverSpec::named("rising_bandit")).expect("the defaults of the table are in range")
    }
}
