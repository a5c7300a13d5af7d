//! Solvers by name.

use boxwood_core::{Problem, Solver, SolverSpec, Unsupported};

use crate::composed::Composed;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};
use crate::sampler::{GRID_PARAMETERS, GridSampler, RandomSampler, Sampler, SobolSampler};
use crate::scheduler::{ASHA_PARAMETERS, Asynchronous, Full, HALVING_PARAMETERS, Halving, Scheduler};

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
    Grid,
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
}

struct Entry {
    name: &'static str,
    aliases: &'static [&'static str],
    summary: &'static str,
    sampler: SamplerKind,
    scheduler: SchedulerKind,
}

const SOLVERS: &[Entry] = &[
    Entry {
        name: "random",
        aliases: &[],
        summary: "Uniform random points, each run in full.",
        sampler: SamplerKind::Random,
        scheduler: SchedulerKind::Full,
    },
    Entry {
        name: "sobol",
        aliases: &[],
        summary: "A scrambled Sobol sequence, each point run in full.",
        sampler: SamplerKind::Sobol,
        scheduler: SchedulerKind::Full,
    },
    Entry {
        name: "grid",
        aliases: &[],
        summary: "Every point of a grid in order; ends when the grid does.",
        sampler: SamplerKind::Grid,
        scheduler: SchedulerKind::Full,
    },
    Entry {
        name: "successive_halving",
        aliases: &[],
        summary: "Synchronous successive halving: brackets that start many trials low and keep the best of each stage.",
        sampler: SamplerKind::Open,
        scheduler: SchedulerKind::SuccessiveHalving,
    },
    Entry {
        name: "hyperband",
        aliases: &[],
        summary: "Synchronous Hyperband: halving brackets from most to least exploring, in a cycle.",
        sampler: SamplerKind::Open,
        scheduler: SchedulerKind::Hyperband,
    },
    Entry {
        name: "asha",
        aliases: &[],
        summary: "Asynchronous successive halving: promotes whenever a worker is free.",
        sampler: SamplerKind::Open,
        scheduler: SchedulerKind::Asha,
    },
    Entry {
        name: "asha_delayed",
        aliases: &[],
        summary: "Asynchronous halving that promotes only while a rung holds enough results for it.",
        sampler: SamplerKind::Open,
        scheduler: SchedulerKind::AshaDelayed,
    },
    Entry {
        name: "async_hyperband",
        aliases: &[],
        summary: "Asynchronous Hyperband: new trials cycle through the brackets' start rungs on one ladder.",
        sampler: SamplerKind::Open,
        scheduler: SchedulerKind::AsyncHyperband,
    },
];

const OPEN_SAMPLER: ParameterInfo = ParameterInfo {
    name: "sampler",
    kind: ParameterKind::Choice { default: "random", choices: &["random", "sobol"] },
    meaning: "What chooses the points of new trials.",
};

impl SamplerKind {
    fn parameters(self) -> &'static [ParameterInfo] {
        match self {
            Self::Random | Self::Sobol => &[],
            Self::Grid => GRID_PARAMETERS,
            Self::Open => &[OPEN_SAMPLER],
        }
    }

    fn read(self, parameters: &Parameters<'_>) -> Result<Box<dyn Sampler>, Unsupported> {
        Ok(match self {
            Self::Random => Box::new(RandomSampler),
            Self::Sobol => Box::new(SobolSampler),
            Self::Grid => Box::new(GridSampler::read(parameters)?),
            Self::Open => match parameters.choice("sampler")? {
                "sobol" => Box::new(SobolSampler),
                _ => Box::new(RandomSampler),
            },
        })
    }
}

impl SchedulerKind {
    fn parameters(self) -> &'static [ParameterInfo] {
        match self {
            Self::Full => &[],
            Self::SuccessiveHalving | Self::Hyperband => HALVING_PARAMETERS,
            Self::Asha | Self::AshaDelayed | Self::AsyncHyperband => ASHA_PARAMETERS,
        }
    }

    fn read(self, parameters: &Parameters<'_>) -> Result<Box<dyn Scheduler>, Unsupported> {
        Ok(match self {
            Self::Full => Box::new(Full),
            Self::SuccessiveHalving => Box::new(Halving::read(parameters, false)?),
            Self::Hyperband => Box::new(Halving::read(parameters, true)?),
            Self::Asha => Box::new(Asynchronous::read(parameters, false, false, false)?),
            Self::AshaDelayed => Box::new(Asynchronous::read(parameters, true, false, false)?),
            Self::AsyncHyperband => Box::new(Asynchronous::read(parameters, true, true, false)?),
        })
    }
}

/// Names of all solvers, aliases left out.
pub fn names() -> Vec<&'static str> {
    SOLVERS.iter().map(|entry| entry.name).collect()
}

/// All solvers with their parameters.
pub fn describe() -> Vec<SolverInfo> {
    let info = |entry: &Entry| SolverInfo {
        name: entry.name,
        aliases: entry.aliases,
        summary: entry.summary,
        parameters: [entry.sampler.parameters(), entry.scheduler.parameters()].concat(),
    };
    SOLVERS.iter().map(info).collect()
}

/// Builds a solver by name and checks that it can serve the problem.
///
/// # Errors
/// [`Unsupported`] names the solver and the parameter or field of the study that does not fit.
pub fn build(spec: &SolverSpec, problem: &Problem) -> Result<Box<dyn Solver>, Unsupported> {
    let solver = Box::new(composed(spec)?);
    solver.accepts(problem)?;
    Ok(solver)
}

/// Builds a sampler-by-scheduler solver.
pub(crate) fn composed(spec: &SolverSpec) -> Result<Composed, Unsupported> {
    let named = |entry: &&Entry| entry.name == spec.name || entry.aliases.contains(&spec.name.as_str());
    let Some(entry) = SOLVERS.iter().find(named) else {
        let reason = format!("there is no solver of this name (known: {})", names().join(", "));
        return Err(Unsupported { solver: spec.name.clone(), reason });
    };
    let parameters = Parameters::new(spec, &[entry.sampler.parameters(), entry.scheduler.parameters()]);
    parameters.finish()?;
    Ok(Composed::new(entry.name, entry.sampler.read(&parameters)?, entry.scheduler.read(&parameters)?))
}
