//! The rule behind `auto`.

use boxwood_core::space::DimensionKind;
use boxwood_core::{Problem, SolverSpec};

/// Budget of trials above which it does.
const GP_TRIALS: u64 = 1500;
/// Encoded dimensions above which it does where most of them are conditional or categorical. On small spaces of that
/// kind the Gaussian process is ahead of the forest after 40 trials (tests/behaviour.rs).
const GP_AWKWARD_DIMENSIONS: usize = 20;

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
/// 1. several objectives: `bo`, or `transfer` where there are earlier studies, on the whole space and in full where the study
///    has arms or a fidelity; `evolution` above a budget of 1,500 trials;
/// 2. arms: `rising_bandit` with the solver that these rules choose for an arm;
/// 3. fidelity: `mfes_async`;
/// 4. earlier studies to learn from: `transfer`;
/// 5. constraints: `bo` (on the suite `constrained` level with `turbo` but on Townsend's function, in whose wrong basin that stays);
/// 6. a budget above 1,500 trials: `cma_es` where at most half of the dimensions are conditional or categorical (ahead of
///    `bo` and `forest` on three functions of the suite `bbob` after 1,500 trials, one seed each), else `forest`;
/// 7. more than 20 encoded dimensions of which most are conditional or categorical: `forest`;
/// 8. otherwise: `bo`, also in high dimension: it was first on all problems of the suite `highdim` (20 to 200 floats, 200
///    trials).
pub fn auto(problem: &Problem) -> Choice {
    let choice = |spec: SolverSpec, explanation: String| Choice { spec, explanation };
    let objectives = problem.objectives().len();
    if objectives > 1 {
        if problem.max_trials().is_some_and(|max| max > GP_TRIALS) {
            let why =
                format!("{objectives} objectives and a large budget: evolution by non-dominated sorting");
            return choice(SolverSpec::named("evolution"), why);
        }
        if !problem.sources().is_empty() {
            let why = format!(
                "{objectives} objectives and earlier studies: Bayesian optimization that learns each objective from them"
            );
            return choice(SolverSpec::named("transfer"), why);
        }
        let how = if objectives > 4 { "random scalarizations" } else { "the gain in hypervolume" };
        let why = format!("{objectives} objectives: Bayesian optimization of {how}");
        return choice(SolverSpec::named("bo"), why);
    }
    if !problem.space().arms().is_empty() {
        let why = format!(
            "{} arms: a rising bandit tunes the leading arm first and drops arms that cannot catch up; inside each arm, {}",
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
        return choice(
            SolverSpec::named("mfes_async"),
            "fidelity: asynchronous MFES-HB with delayed promotion",
        );
    }
    if !problem.sources().is_empty() {
        return choice(
            SolverSpec::named("transfer"),
            "earlier studies: Bayesian optimization that learns from them where they agree with the results",
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
    let mostly_awkward = dimensions.iter().filter(is_awkward).count() * 2 > dimensions.len();
    if problem.max_trials().is_some_and(|max| max > GP_TRIALS) {
        return if mostly_awkward {
            choice(
                SolverSpec::named("forest"),
                "a large budget, mostly conditional or categorical: a random forest",
            )
        } else {
            choice(SolverSpec::named("cma_es"), "a large budget: evolution of a normal distribution")
        };
    }
    if dimensions.len() > GP_AWKWARD_DIMENSIONS && mostly_awkward {
        return choice(
            SolverSpec::named("forest"),
            "many dimensions, mostly conditional or categorical: a random forest",
        );
    }
    choice(SolverSpec::named("bo"), "one fidelity, a moderate budget: Bayesian optimization")
}
