//! The rule behind `auto`.

use boxwood_core::space::DimensionKind;
use boxwood_core::{Problem, SolverSpec};

/// Encoded dimensions above which a Gaussian process over the whole space gives way to a forest, until trust regions
/// exist.
const GP_DIMENSIONS: usize = 50;
/// Budget of trials above which it does.
const GP_TRIALS: u64 = 1500;

/// A chosen solver and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Solver with its parameters.
    pub spec: SolverSpec,
    /// The rule that applied, one sentence, for people.
    pub explanation: String,
}

/// Chooses a solver for a problem. The first rule that applies decides:
///
/// 1. several objectives: `sobol` (no solver here models more than one);
/// 2. arms: `rising_bandit` with the solver that these rules choose for an arm;
/// 3. fidelity: `mfes_async`, or `asha_delayed` with the Gaussian process when there are constraints;
/// 4. constraints: `bo`;
/// 5. more than 50 encoded dimensions, a budget above 1,500 trials, or more conditional or categorical dimensions
///    than plain numbers: `forest`;
/// 6. otherwise: `bo`.
pub fn auto(problem: &Problem) -> Choice {
    let choice = |spec: SolverSpec, explanation: String| Choice { spec, explanation };
    if problem.objectives().len() > 1 {
        let why = format!("{} objectives: points are spread by a Sobol sequence", problem.objectives().len());
        return choice(SolverSpec::named("sobol"), why);
    }
    if !problem.space().arms().is_empty() {
        let why = format!(
            "{} arms: a rising bandit drops arms that cannot catch up; inside each arm, {}",
            problem.space().arms().len(),
            plain(problem).explanation
        );
        return choice(SolverSpec::named("rising_bandit"), why);
    }
    plain(problem)
}

/// The rule without arms: what a bandit runs inside each of them by default.
pub(crate) fn plain(problem: &Problem) -> Choice {
    let choice = |spec: SolverSpec, explanation: &str| Choice { spec, explanation: explanation.into() };
    let constrained = !problem.constraints().is_empty();
    if problem.ladder().len() > 1 {
        if constrained {
            let mut spec = SolverSpec::named("asha_delayed");
            spec.parameters.insert("sampler".into(), "gp".into());
            return choice(
                spec,
                "fidelity and constraints: delayed asynchronous halving with a Gaussian process",
            );
        }
        return choice(
            SolverSpec::named("mfes_async"),
            "fidelity: asynchronous MFES-HB with delayed promotion",
        );
    }
    if constrained {
        return choice(
            SolverSpec::named("bo"),
            "constraints: Bayesian optimization with a model of each of them",
        );
    }
    let dimensions = problem.space().dimensions();
    let is_awkward = |dimension: &&boxwood_core::space::Dimension| {
        dimension.conditional || matches!(dimension.kind, DimensionKind::Categorical { .. })
    };
    let arm = problem.space().arm_parameter();
    let own: Vec<_> = dimensions.iter().filter(|dimension| Some(dimension.name.as_str()) != arm).collect();
    let awkward = if problem.space().arms().is_empty() {
        own.iter().filter(|dimension| is_awkward(dimension)).count()
    } else {
        0
    };
    let large = dimensions.len() > GP_DIMENSIONS || problem.max_trials().is_some_and(|max| max > GP_TRIALS);
    if large {
        return choice(SolverSpec::named("forest"), "a large space or budget: a random forest");
    }
    if awkward * 2 > own.len() {
        return choice(SolverSpec::named("forest"), "mostly conditional or categorical: a random forest");
    }
    choice(SolverSpec::named("bo"), "one fidelity, a moderate space and budget: Bayesian optimization")
}
