//! Solvers by name.

use boxwood_core::{Problem, Signal, Solver, SolverSpec, Unsupported};

use crate::auto::auto;
use crate::bandit::{BANDIT_PARAMETERS, RisingBandit};
use crate::composed::Composed;
use crate::early_stopping::{EarlyStopping, PARAMETERS as STOPPING_PARAMETERS};
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};
use crate::sampler::{
    BLEND_PARAMETERS, BOHB_PARAMETERS, BlendSampler, CMA_PARAMETERS, COMPRESSION_PARAMETERS, CmaSampler,
    Compressed, DESIGN_PARAMETERS, EVOLUTION_PARAMETERS, EvolutionSampler, FOREST_PARAMETERS, ForestSampler,
    GP_PARAMETERS, GP_SHARED_PARAMETERS, GRID_PARAMETERS, GpSampler, GridSampler, LATIN_PARAMETERS,
    LOCAL_PARAMETERS, LatinSampler, MFES_PARAMETERS, MfesSampler, RandomSampler, Sampler, SobolSampler,
    TPE_PARAMETERS, TRANSFER_PARAMETERS, TpeSampler, TurboSampler,
};
use crate::scheduler::{ASHA_PARAMETERS, Asynchronous, Full, HALVING_PARAMETERS, Scheduler, read_halving};

/// What a named solver is, for documentation and help texts.
#[derive(Debug, Clone, PartialEq)]
pub struct SolverInfo {
    /// Name.
    pub name: &'static str,
    /// Other accepted names.
    pub aliases: &'static [&'static str],
    /// One sentence.
    pub summary: &'static str,
    /// Parameters with defaults and ranges.
    pub parameters: Vec<ParameterInfo>,
}

/// The part of a solver that chooses points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SamplerKind {
    Random,
    Sobol,
    Latin,
    Grid,
    Evolution,
    Cma,
    Blend,
    /// Local threads without a global search.
    Local,
    Gp,
    Forest,
    Tpe,
    /// The densities and the random share of BOHB.
    Bohb,
    Mfes,
    Transfer,
    Turbo,
    /// The parameter `sampler` names it; random by default.
    Open,
}

/// The part that chooses rungs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SchedulerKind {
    Full,
    SuccessiveHalving,
    Hyperband,
    Asha,
    AshaDelayed,
    AsyncHyperband,
    /// Delayed promotion, brackets chosen by the sampler's weights.
    HyperTune,
}

struct Entry {
    name: &'static str,
    aliases: &'static [&'static str],
    summary: &'static str,
    sampler: SamplerKind,
    scheduler: SchedulerKind,
}

/// One line of composition per solver.
const fn entry(
    name: &'static str,
    aliases: &'static [&'static str],
    sampler: SamplerKind,
    scheduler: SchedulerKind,
    summary: &'static str,
) -> Entry {
    Entry { name, aliases, summary, sampler, scheduler }
}

const SOLVERS: &[Entry] = &[
    entry(
        "random",
        &[],
        SamplerKind::Random,
        SchedulerKind::Full,
        "Uniform random points, each run in full.",
    ),
    entry(
        "sobol",
        &[],
        SamplerKind::Sobol,
        SchedulerKind::Full,
        "A scrambled Sobol sequence, each point run in full.",
    ),
    entry(
        "latin_hypercube",
        &["lhs"],
        SamplerKind::Latin,
        SchedulerKind::Full,
        "Maximin Latin hypercubes, each point run in full.",
    ),
    entry(
        "grid",
        &[],
        SamplerKind::Grid,
        SchedulerKind::Full,
        "Every point of a grid in order; ends when the grid does.",
    ),
    entry(
        "bo",
        &["gp"],
        SamplerKind::Gp,
        SchedulerKind::Full,
        "Bayesian optimization with Gaussian processes: one or several objectives, constraints, failures, costs, beliefs.",
    ),
    entry(
        "forest",
        &["smac"],
        SamplerKind::Forest,
        SchedulerKind::Full,
        "Sequential optimization with a random forest, for conditional and categorical spaces.",
    ),
    entry(
        "tpe",
        &[],
        SamplerKind::Tpe,
        SchedulerKind::Full,
        "Tree-structured Parzen estimator: ratio of good and bad densities, for one objective or several.",
    ),
    entry(
        "transfer",
        &["rgpe"],
        SamplerKind::Transfer,
        SchedulerKind::Full,
        "Bayesian optimization that learns from the study's sources, earlier studies on overlapping spaces.",
    ),
    entry(
        "turbo",
        &["scbo"],
        SamplerKind::Turbo,
        SchedulerKind::Full,
        "Bayesian optimization in a trust region that moves, grows and shrinks, for many dimensions.",
    ),
    entry(
        "evolution",
        &[],
        SamplerKind::Evolution,
        SchedulerKind::Full,
        "Evolution in steady state: NSGA-II for several objectives; a particle swarm, differential, adaptive or aging evolution for one.",
    ),
    entry(
        "cma_es",
        &["cma"],
        SamplerKind::Cma,
        SchedulerKind::Full,
        "CMA-ES with margin for integers and restarts, for thousands of cheap evaluations.",
    ),
    entry(
        "blend_search",
        &[],
        SamplerKind::Blend,
        SchedulerKind::Full,
        "Local searches by random directions beside a global one, trials given to whichever improves fastest per cost.",
    ),
    entry(
        "cfo",
        &["flow2"],
        SamplerKind::Local,
        SchedulerKind::Full,
        "Direct search along random directions from the default point, with restarts: `blend_search` without a global search.",
    ),
    entry(
        "successive_halving",
        &[],
        SamplerKind::Open,
        SchedulerKind::SuccessiveHalving,
        "Synchronous successive halving: brackets that start many trials low and keep the best of each stage.",
    ),
    entry(
        "hyperband",
        &[],
        SamplerKind::Open,
        SchedulerKind::Hyperband,
        "Synchronous Hyperband: halving brackets from most to least exploring, in a cycle.",
    ),
    entry(
        "bohb",
        &[],
        SamplerKind::Bohb,
        SchedulerKind::Hyperband,
        "Synchronous Hyperband whose points come from the kernel densities of BOHB, or from the Parzen estimator.",
    ),
    entry(
        "mfes",
        &[],
        SamplerKind::Mfes,
        SchedulerKind::Hyperband,
        "Synchronous Hyperband whose points come from a model of all rungs.",
    ),
    entry(
        "asha",
        &[],
        SamplerKind::Open,
        SchedulerKind::Asha,
        "Asynchronous successive halving: promotes whenever a worker is free.",
    ),
    entry(
        "asha_delayed",
        &[],
        SamplerKind::Open,
        SchedulerKind::AshaDelayed,
        "Asynchronous halving that promotes only while a rung holds enough results for it.",
    ),
    entry(
        "async_hyperband",
        &[],
        SamplerKind::Open,
        SchedulerKind::AsyncHyperband,
        "Asynchronous Hyperband: new trials cycle through the brackets' start rungs on one ladder.",
    ),
    entry(
        "mfes_async",
        &[],
        SamplerKind::Mfes,
        SchedulerKind::HyperTune,
        "Delayed asynchronous halving with brackets drawn by cost, points and promotions to the top from the model of all \
         rungs.",
    ),
];

/// Name of the bandit over arms.
const BANDIT: &str = "rising_bandit";
const BANDIT_SUMMARY: &str =
    "Rising bandit over the arms of a CASH space, with any other solver inside each arm's subspace.";
/// Name of the solver that chooses by rule.
const AUTO: &str = "auto";
const AUTO_SUMMARY: &str = "Chooses a solver by the documented rule on space, fidelity and budget.";

const OPEN_SAMPLER: ParameterInfo = ParameterInfo {
    name: "sampler",
    kind: ParameterKind::Choice {
        default: "random",
        choices: &["random", "sobol", "gp", "forest", "tpe", "mfes"],
    },
    meaning: "What chooses the points of new trials; that sampler's own parameters are accepted too.",
};

impl SamplerKind {
    fn parameters(self) -> Vec<ParameterInfo> {
        match self {
            Self::Random | Self::Sobol => Vec::new(),
            Self::Latin => LATIN_PARAMETERS.to_vec(),
            Self::Grid => GRID_PARAMETERS.to_vec(),
            Self::Evolution => EVOLUTION_PARAMETERS.to_vec(),
            Self::Cma => CMA_PARAMETERS.to_vec(),
            Self::Blend => [BLEND_PARAMETERS, LOCAL_PARAMETERS, DESIGN_PARAMETERS].concat(),
            Self::Local => LOCAL_PARAMETERS.to_vec(),
            Self::Gp => [DESIGN_PARAMETERS, GP_PARAMETERS, COMPRESSION_PARAMETERS].concat(),
            Self::Forest => [DESIGN_PARAMETERS, FOREST_PARAMETERS, COMPRESSION_PARAMETERS].concat(),
            Self::Tpe => TPE_PARAMETERS.to_vec(),
            Self::Bohb => BOHB_PARAMETERS.to_vec(),
            Self::Mfes => [DESIGN_PARAMETERS, MFES_PARAMETERS].concat(),
            Self::Transfer => [DESIGN_PARAMETERS, &GP_SHARED_PARAMETERS, TRANSFER_PARAMETERS].concat(),
            Self::Turbo => [DESIGN_PARAMETERS, COMPRESSION_PARAMETERS].concat(),
            Self::Open => vec![OPEN_SAMPLER],
        }
    }

    /// The sampler itself; for an open one, the one that the specification names.
    fn resolve(self, spec: &SolverSpec) -> Result<Self, Unsupported> {
        if self != Self::Open {
            return Ok(self);
        }
        let table = self.parameters();
        Ok(match Parameters::new(spec, &[&table]).choice(OPEN_SAMPLER.name)? {
            "sobol" => Self::Sobol,
            "gp" => Self::Gp,
            "forest" => Self::Forest,
            "tpe" => Self::Tpe,
            "mfes" => Self::Mfes,
            _ => Self::Random,
        })
    }

    fn read(self, parameters: &Parameters<'_>) -> Result<Box<dyn Sampler>, Unsupported> {
        Ok(match self {
            Self::Random | Self::Open => Box::new(RandomSampler),
            Self::Sobol => Box::new(SobolSampler),
            Self::Latin => Box::new(LatinSampler::read(parameters)?),
            Self::Grid => Box::new(GridSampler::read(parameters)?),
            Self::Evolution => Box::new(EvolutionSampler::read(parameters)?),
            Self::Cma => Box::new(CmaSampler::read(parameters)?),
            Self::Blend => Box::new(BlendSampler::read(parameters)?),
            Self::Local => Box::new(BlendSampler::read_local(parameters)?),
            Self::Gp => Compressed::wrap(Box::new(GpSampler::read(parameters)?), false, parameters)?,
            Self::Forest => Compressed::wrap(Box::new(ForestSampler::read(parameters)?), false, parameters)?,
            Self::Tpe => Box::new(TpeSampler::read(parameters)?),
            Self::Bohb => Box::new(TpeSampler::read_bohb(parameters)?),
            Self::Mfes => Box::new(MfesSampler::read(parameters)?),
            Self::Transfer => Box::new(GpSampler::read_learning(parameters)?),
            Self::Turbo => Compressed::wrap(Box::new(TurboSampler::read(parameters)?), true, parameters)?,
        })
    }
}

impl SchedulerKind {
    fn parameters(self) -> &'static [ParameterInfo] {
        match self {
            Self::Full => STOPPING_PARAMETERS,
            Self::SuccessiveHalving | Self::Hyperband => HALVING_PARAMETERS,
            Self::Asha | Self::AshaDelayed | Self::AsyncHyperband | Self::HyperTune => ASHA_PARAMETERS,
        }
    }

    fn read(self, parameters: &Parameters<'_>) -> Result<Box<dyn Scheduler>, Unsupported> {
        Ok(match self {
            Self::Full => Box::new(Full),
            Self::SuccessiveHalving => read_halving(parameters, false)?,
            Self::Hyperband => read_halving(parameters, true)?,
            Self::Asha => Box::new(Asynchronous::read(parameters, false, false, false)?),
            Self::AshaDelayed => Box::new(Asynchronous::read(parameters, true, false, false)?),
            Self::AsyncHyperband => Box::new(Asynchronous::read(parameters, true, true, false)?),
            Self::HyperTune => Box::new(Asynchronous::read(parameters, true, true, true)?),
        })
    }
}

/// Names of all solvers, aliases and `auto` left out.
pub fn names() -> Vec<&'static str> {
    SOLVERS.iter().map(|entry| entry.name).chain([BANDIT]).collect()
}

/// Names of the solvers that with their default parameters serve the problem and tell this of their proposals.
pub fn telling(problem: &Problem, signal: Signal) -> Vec<&'static str> {
    let tells = |name: &&str| {
        let solver = build(&SolverSpec::named(*name), problem);
        solver.is_ok_and(|solver| solver.tells(problem, signal).is_ok())
    };
    names().into_iter().filter(tells).collect()
}

/// All solvers with their parameters, `auto` included.
pub fn describe() -> Vec<SolverInfo> {
    let info = |entry: &Entry| SolverInfo {
        name: entry.name,
        aliases: entry.aliases,
        summary: entry.summary,
        parameters: [entry.sampler.parameters(), entry.scheduler.parameters().to_vec()].concat(),
    };
    let further = |name, summary, parameters: &[ParameterInfo]| SolverInfo {
        name,
        aliases: &[],
        summary,
        parameters: parameters.to_vec(),
    };
    let bandit = further(BANDIT, BANDIT_SUMMARY, BANDIT_PARAMETERS);
    SOLVERS.iter().map(info).chain([bandit, further(AUTO, AUTO_SUMMARY, &[])]).collect()
}

/// Builds a solver by name and checks that it can serve the problem.
///
/// # Errors
/// [`Unsupported`] names the solver and the parameter or field of the study that does not fit.
pub fn build(spec: &SolverSpec, problem: &Problem) -> Result<Box<dyn Solver>, Unsupported> {
    if spec.name == AUTO {
        Parameters::new(spec, &[]).finish()?;
        return build(&auto(problem).spec, problem);
    }
    let solver: Box<dyn Solver> = if spec.name == BANDIT {
        Box::new(RisingBandit::read(spec, problem)?)
    } else {
        Box::new(composed(spec)?)
    };
    solver.accepts(problem)?;
    Ok(solver)
}

/// Builds a sampler-by-scheduler solver.
pub(crate) fn composed(spec: &SolverSpec) -> Result<Composed, Unsupported> {
    let named = |entry: &&Entry| entry.name == spec.name || entry.aliases.contains(&spec.name.as_str());
    let Some(entry) = SOLVERS.iter().find(named) else {
        let reason = format!("there is no such solver here (known: {})", names().join(", "));
        return Err(Unsupported { solver: spec.name.clone(), reason });
    };
    let sampler = entry.sampler.resolve(spec)?;
    let mut table = sampler.parameters();
    if entry.sampler == SamplerKind::Open {
        table.push(OPEN_SAMPLER);
    }
    let parameters = Parameters::new(spec, &[&table, entry.scheduler.parameters()]);
    parameters.finish()?;
    let stopping = match entry.scheduler {
        SchedulerKind::Full => EarlyStopping::read(&parameters)?,
        _ => None,
    };
    let solver = Composed::new(entry.name, sampler.read(&parameters)?, entry.scheduler.read(&parameters)?);
    Ok(solver.with_early_stopping(stopping))
}
