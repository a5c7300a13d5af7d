//! What a user can choose about Bayesian optimization, and which choices fit a problem.

use boxwood_core::{Loss, Objective, Problem, Unsupported};
use boxwood_surrogate::{CategoryKernel, GpOptions, InputWarps, KernelFunction, Priors};
use serde_json::{Map, Value as Json};

use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Objectives up to which a hypervolume improvement is computed exactly; boxes grow too fast beyond.
const MOST_BOXED: usize = 4;

const RANDOM_FRACTION: ParameterInfo = ParameterInfo {
    name: "random_fraction",
    kind: ParameterKind::Number { default: 0.0, low: 0.0, high: 1.0 },
    meaning: "Share of points drawn at random once the model is used.",
};
const ACQUISITION: ParameterInfo = ParameterInfo {
    name: "acquisition",
    kind: ParameterKind::Choice {
        default: "auto",
        choices: &[
            "auto",
            "log_ei",
            "noisy_ei",
            "pi",
            "lcb",
            "thompson",
            "mes",
            "ehvi",
            "noisy_ehvi",
            "parego",
            "mesmo",
            "usemo",
        ],
    },
    meaning: "What makes a point worth trying. auto is log_ei for one objective (noisy_ei while the results look noisy), \
              ehvi for 2 to 4, parego for more.",
};
const BATCH: ParameterInfo = ParameterInfo {
    name: "batch",
    kind: ParameterKind::Choice {
        default: "auto",
        choices: &["auto", "believer", "local_penalization", "median_imputation", "ucb_pe"],
    },
    meaning: "What pending points are taken to return: the model's mean (believer), the median loss, or nothing with a \
              penalty around them (local_penalization); ucb_pe explores by deviation (Vizier's, one objective \
              without constraints). auto is local_penalization for log_ei, pi and mes, else believer.",
};
const FAILURES: ParameterInfo = ParameterInfo {
    name: "failures",
    kind: ParameterKind::Choice { default: "both", choices: &["probability", "bad_loss", "both"] },
    meaning: "What failed trials teach: where points fail, a bad loss there, or both.",
};
const COST_AWARE: ParameterInfo = ParameterInfo {
    name: "cost_aware",
    kind: ParameterKind::Flag { default: false },
    meaning: "Divides by the expected seconds of a trial, less and less as the budget of trials is used.",
};
const REFERENCE_POINT: ParameterInfo = ParameterInfo {
    name: "reference_point",
    kind: ParameterKind::Document { shape: "one number per objective" },
    meaning: "Values of the objectives beyond which a point is worth nothing; the worst of the front and a tenth of its \
              range when absent.",
};
const BELIEFS: ParameterInfo = ParameterInfo {
    name: "beliefs",
    kind: ParameterKind::Document { shape: "parameter: {center, deviation} or {weights: {choice: weight}}" },
    meaning: "Where the best point may lie: a centre in the parameter's units and a deviation as a share of its range \
              on its scale (0.1 when absent), or a weight per choice. Fades as results come in.",
};
const BELIEF_STRENGTH: ParameterInfo = ParameterInfo {
    name: "belief_strength",
    kind: ParameterKind::OptionalNumber { low: 0.0, high: 1e6 },
    meaning: "Number of results at which a belief has the power one; a tenth of the budget of trials, or 10, when absent.",
};

/// Parameters of Bayesian optimization that make sense with earlier studies too.
pub(crate) const SHARED: [ParameterInfo; 8] =
    [RANDOM_FRACTION, ACQUISITION, BATCH, FAILURES, COST_AWARE, REFERENCE_POINT, BELIEFS, BELIEF_STRENGTH];

/// Parameters of Bayesian optimization beside the design's.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    RANDOM_FRACTION,
    ACQUISITION,
    BATCH,
    ParameterInfo {
        name: "kernel",
        kind: ParameterKind::Choice { default: "matern52", choices: &["matern52", "squared_exponential"] },
        meaning: "How the covariance of numbers falls with their distance: Matern-5/2, or smoother.",
    },
    ParameterInfo {
        name: "category_kernel",
        kind: ParameterKind::Choice { default: "product", choices: &["product", "mixture"] },
        meaning: "How numbers and categories meet in the covariance: their product, or a mixture of product and sum.",
    },
    ParameterInfo {
        name: "warp_inputs",
        kind: ParameterKind::Choice { default: "auto", choices: &["auto", "on", "off"] },
        meaning: "Whether numbers are bent before they are compared, as when a scale was declared wrongly. auto looks \
                  whether the results say so; on and auto need three results per dimension.",
    },
    ParameterInfo {
        name: "warp_losses",
        kind: ParameterKind::Choice { default: "auto", choices: &["auto", "off"] },
        meaning: "Whether losses are bent before a process is fitted, so that one bad result does not flatten the rest: auto \
                  compares several forms by the results, off standardizes only.",
    },
    ParameterInfo {
        name: "priors",
        kind: ParameterKind::Choice { default: "by_dimension", choices: &["by_dimension", "wide"] },
        meaning: "What is expected of noise, signal and length scales before there are results: length scales that grow with \
                  the number of parameters (Hvarfner et al., 2024), or hardly anything, as Vizier does.",
    },
    ParameterInfo {
        name: "posterior_draws",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 64 },
        meaning: "Draws of the hyperparameters from their posterior over which log_ei and parego are averaged, up to 200 \
                  results; 0 takes the most probable ones. No better on the suite `single`, at three times the time.",
    },
    FAILURES,
    COST_AWARE,
    REFERENCE_POINT,
    BELIEFS,
    BELIEF_STRENGTH,
    ParameterInfo {
        name: "subspace",
        kind: ParameterKind::Choice { default: "full", choices: &["full", "line", "coordinate", "descent"] },
        meaning: "Where the acquisition is maximized: everywhere, or per point on one line through the best result (LineBO): a \
                  random one, along a random number, or down the model's slope. Categories change one at a time. Half the \
                  time; on two functions of 20 and 50 numbers no line was ahead on both.",
    },
    ParameterInfo {
        name: "safe_probability",
        kind: ParameterKind::OptionalNumber { low: 0.5, high: 0.9999 },
        meaning: "Probability with which every constraint of a proposed point must be predicted to hold (SafeOpt). Starts near \
                  initial points that hold, or the default point, and moves outwards; any points when absent.",
    },
];

/// What makes a point worth trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Criterion {
    LogEi,
    NoisyEi,
    Pi,
    Lcb,
    Thompson,
    Mes,
    Ehvi,
    NoisyEhvi,
    ParEgo,
    Mesmo,
    Usemo,
}

/// Criteria by the names of the parameter `acquisition`, `auto` left out.
const CRITERIA: &[(&str, Criterion)] = &[
    ("log_ei", Criterion::LogEi),
    ("noisy_ei", Criterion::NoisyEi),
    ("pi", Criterion::Pi),
    ("lcb", Criterion::Lcb),
    ("thompson", Criterion::Thompson),
    ("mes", Criterion::Mes),
    ("ehvi", Criterion::Ehvi),
    ("noisy_ehvi", Criterion::NoisyEhvi),
    ("parego", Criterion::ParEgo),
    ("mesmo", Criterion::Mesmo),
    ("usemo", Criterion::Usemo),
];

/// What pending points are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batch {
    Believer,
    LocalPenalization,
    MedianImputation,
    UcbPe,
}

/// Where the acquisition is maximized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subspace {
    Full,
    Line,
    Coordinate,
    Descent,
}

/// What is learned from failed trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failures {
    Probability,
    BadLoss,
    Both,
}

impl Failures {
    pub(super) fn are_modelled(self) -> bool {
        self != Self::BadLoss
    }

    pub(super) fn have_a_loss(self) -> bool {
        self != Self::Probability
    }
}

/// A user's choices.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Nothing for `auto`.
    criterion: Option<Criterion>,
    /// Nothing for `auto`.
    batch: Option<Batch>,
    /// How processes are fitted.
    pub(super) process: GpOptions,
    pub(super) failures: Failures,
    pub(super) cost_aware: bool,
    /// Native values.
    reference_point: Option<Json>,
    pub(super) beliefs: Option<Json>,
    pub(super) belief_strength: Option<f64>,
    pub(super) subspace: Subspace,
    /// Probability with which constraints must hold, where points must be safe.
    pub(super) safe: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            criterion: None,
            batch: None,
            process: GpOptions { warp_inputs: InputWarps::Auto, ..GpOptions::default() },
            failures: Failures::Both,
            cost_aware: false,
            reference_point: None,
            beliefs: None,
            belief_strength: None,
            subspace: Subspace::Full,
            safe: None,
        }
    }
}

fn process(parameters: &Parameters<'_>) -> Result<GpOptions, Unsupported> {
    Ok(GpOptions {
        kernel: match parameters.choice("kernel")? {
            "squared_exponential" => KernelFunction::SquaredExponential,
            _ => KernelFunction::Matern52,
        },
        categories: match parameters.choice("category_kernel")? {
            "mixture" => CategoryKernel::Mixture,
            _ => CategoryKernel::Product,
        },
        warp_inputs: match parameters.choice("warp_inputs")? {
            "on" => InputWarps::On,
            "off" => InputWarps::Off,
            _ => InputWarps::Auto,
        },
        warp_targets: parameters.choice("warp_losses")? == "auto",
        priors: match parameters.choice("priors")? {
            "wide" => Priors::Wide,
            _ => Priors::ByDimension,
        },
        posterior_draws: parameters.integer("posterior_draws")? as usize,
        ..GpOptions::default()
    })
}

impl Settings {
    pub(super) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let subspace = match parameters.choice("subspace")? {
            "line" => Subspace::Line,
            "coordinate" => Subspace::Coordinate,
            "descent" => Subspace::Descent,
            _ => Subspace::Full,
        };
        let safe = parameters.optional_number("safe_probability")?;
        Ok(Self { process: process(parameters)?, subspace, safe, ..Self::read_shared(parameters)? })
    }

    /// The choices of [`SHARED`]; everything else at its default.
    pub(super) fn read_shared(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let named = parameters.choice("acquisition")?;
        let criterion = CRITERIA.iter().find(|(name, _)| *name == named).map(|(_, criterion)| *criterion);
        let batch = match parameters.choice("batch")? {
            "believer" => Some(Batch::Believer),
            "local_penalization" => Some(Batch::LocalPenalization),
            "median_imputation" => Some(Batch::MedianImputation),
            "ucb_pe" => Some(Batch::UcbPe),
            _ => None,
        };
        let failures = match parameters.choice("failures")? {
            "probability" => Failures::Probability,
            "bad_loss" => Failures::BadLoss,
            _ => Failures::Both,
        };
        Ok(Self {
            criterion,
            batch,
            failures,
            cost_aware: parameters.flag("cost_aware")?,
            reference_point: parameters.document("reference_point").cloned(),
            beliefs: parameters.document("beliefs").cloned(),
            belief_strength: parameters.optional_number("belief_strength")?,
            ..Self::default()
        })
    }

    /// The criterion for a problem with this many objectives.
    pub(super) fn criterion(&self, objectives: usize) -> Criterion {
        self.criterion.unwrap_or(match objectives {
            0 | 1 if self.batch == Some(Batch::UcbPe) => Criterion::Lcb,
            0 | 1 => Criterion::LogEi,
            2..=MOST_BOXED => Criterion::Ehvi,
            _ => Criterion::ParEgo,
        })
    }

    /// Whether one loss is chosen for by its expected improvement; the reason when it is not.
    pub(super) fn expects_improvement(&self) -> Result<(), String> {
        match self.criterion(1) {
            Criterion::LogEi | Criterion::NoisyEi => Ok(()),
            Criterion::Lcb if self.batch == Some(Batch::UcbPe) => Err(
                "batch: ucb_pe maximizes no expected improvement; auto, log_ei and noisy_ei without it do"
                    .into(),
            ),
            other => {
                let name = other.name();
                Err(format!("acquisition: {name} is no expected improvement; auto, log_ei and noisy_ei are"))
            }
        }
    }

    /// Whether the user chose neither an acquisition nor a rule for batches.
    pub(super) fn leaves_open(&self) -> bool {
        self.criterion.is_none() && self.batch.is_none()
    }

    /// What pending points are taken for. On the suite `parallel` (3 seeds) penalties beat belief on three of four problems,
    /// the more the more workers there were: the median gap on Ackley-5 with 64 was 1.5 against 3.4.
    pub(super) fn batch(&self, objectives: usize) -> Batch {
        let penalized =
            matches!(self.criterion(objectives), Criterion::LogEi | Criterion::Pi | Criterion::Mes);
        self.batch.unwrap_or(if penalized { Batch::LocalPenalization } else { Batch::Believer })
    }

    /// Whether the choices fit a problem; the reason, naming the parameter, when they do not.
    pub(super) fn accept(&self, problem: &Problem) -> Result<(), String> {
        let objectives = problem.objectives().len();
        let constrained = !problem.constraints().is_empty();
        let criterion = self.criterion(objectives);
        let name = criterion.name();
        let (low, high) = criterion.objectives();
        if !(low..=high).contains(&objectives) {
            let wanted = match (low, high) {
                (1, 1) => "one objective".to_owned(),
                (low, usize::MAX) => format!("at least {low} objectives"),
                (low, high) => format!("{low} to {high} objectives"),
            };
            return Err(format!("acquisition: {name} takes {wanted}, the study has {objectives}"));
        }
        if constrained && !criterion.takes_constraints(objectives) {
            return Err(format!("acquisition: {name} cannot be combined with constraints"));
        }
        if !criterion.is_logarithm() {
            if self.cost_aware {
                return Err(
                    "cost_aware: only acquisitions that are logarithms can be divided by a cost".into()
                );
            }
            if self.beliefs.is_some() {
                return Err(format!("beliefs: {name} is no logarithm, it cannot be weighted by a belief"));
            }
        }
        match self.batch(objectives) {
            Batch::UcbPe if objectives > 1 || constrained => {
                return Err("batch: ucb_pe takes one objective and no constraints".into());
            }
            Batch::UcbPe if criterion != Criterion::Lcb => {
                return Err(
                    "batch: ucb_pe has an acquisition of its own; leave `acquisition` at auto or lcb".into(),
                );
            }
            Batch::LocalPenalization if objectives > 1 || !criterion.is_logarithm() => {
                return Err(
                    "batch: local_penalization takes one objective and log_ei, noisy_ei, pi or mes".into()
                );
            }
            _ => {}
        }
        self.reference_losses(problem)?;
        if self.subspace != Subspace::Full && matches!(criterion, Criterion::Thompson | Criterion::Usemo) {
            return Err(format!("subspace: {name} chooses among fixed candidates, not on a line"));
        }
        self.accept_safety(problem)
    }

    /// Whether points of the problem can be kept safe.
    fn accept_safety(&self, problem: &Problem) -> Result<(), String> {
        if self.safe.is_none() {
            return Ok(());
        }
        let objectives = problem.objectives().len();
        let refuse = |reason: &str| Err(format!("safe_probability: {reason}"));
        if problem.constraints().is_empty() {
            return refuse("the study has no constraints that points could keep");
        }
        if problem.initial_points().is_empty() && problem.space().default_point().is_none() {
            return refuse(
                "at least one initial point that keeps the constraints is needed, or a valid default point",
            );
        }
        if problem.ladder().len() > 1 {
            return refuse("constraints must be measured in full, the study has a fidelity");
        }
        if objectives > 1 {
            return refuse("one objective is needed, the study has several");
        }
        let takes = matches!(self.criterion(objectives), Criterion::LogEi | Criterion::Pi | Criterion::Mes);
        if !takes || self.batch(objectives) != Batch::LocalPenalization {
            return refuse("only log_ei, pi and mes with batch local_penalization keep to what was measured");
        }
        if self.subspace != Subspace::Full {
            return refuse("the safe set is searched as a whole; leave `subspace` at full");
        }
        Ok(())
    }

    /// Whether the choices fit models that earlier studies have a part in; the reason when they do not.
    pub(super) fn accept_sources(&self, objectives: usize) -> Result<(), String> {
        let criterion = self.criterion(objectives);
        if self.batch(objectives) == Batch::UcbPe {
            return Err(
                "batch: ucb_pe compares deviations of this study's own model, in which sources have no \
                        part; choose another, or `transfer: none`"
                    .into(),
            );
        }
        if criterion.draws_jointly() {
            return Err(format!(
                "acquisition: {} draws from this study's own model, in which sources have no part; choose log_ei, pi, \
                 lcb, ehvi, parego or usemo, or `transfer: none`",
                criterion.name()
            ));
        }
        Ok(())
    }

    /// The given reference point as losses.
    pub(super) fn reference_losses(&self, problem: &Problem) -> Result<Option<Vec<f64>>, String> {
        let Some(given) = &self.reference_point else { return Ok(None) };
        let count = problem.objectives().len();
        let values = given.as_array().filter(|values| values.len() == count);
        let losses = values.and_then(|values| {
            let pairs = values.iter().zip(problem.objectives());
            let loss = |(value, objective): (&Json, &Objective)| objective.loss(value.as_f64()?).ok();
            pairs.map(|pair| loss(pair).map(Loss::get)).collect::<Option<Vec<f64>>>()
        });
        let refusal = || format!("reference_point: a list of {count} numbers is needed, got {given}");
        losses.map(Some).ok_or_else(refusal)
    }

    /// The given beliefs by parameter.
    pub(super) fn belief_table(&self) -> Result<Option<&Map<String, Json>>, String> {
        match &self.beliefs {
            None => Ok(None),
            Some(Json::Object(table)) => Ok(Some(table)),
            Some(other) => Err(format!("beliefs: an object of parameters is needed, got {other}")),
        }
    }
}

impl Criterion {
    fn name(self) -> &'static str {
        CRITERIA.iter().find(|(_, criterion)| *criterion == self).map_or("auto", |(name, _)| name)
    }

    /// Least and largest number of objectives.
    fn objectives(self) -> (usize, usize) {
        match self {
            Self::LogEi | Self::NoisyEi | Self::Pi | Self::Lcb | Self::Mes => (1, 1),
            Self::Thompson => (1, usize::MAX),
            Self::Ehvi | Self::NoisyEhvi => (2, MOST_BOXED),
            Self::ParEgo | Self::Mesmo | Self::Usemo => (2, usize::MAX),
        }
    }

    fn takes_constraints(self, objectives: usize) -> bool {
        match self {
            Self::Lcb | Self::Usemo => false,
            Self::Thompson => objectives == 1,
            _ => true,
        }
    }

    /// Whether it needs joint draws, which a combination of several studies' models does not have.
    fn draws_jointly(self) -> bool {
        matches!(self, Self::NoisyEi | Self::NoisyEhvi | Self::Thompson | Self::Mes | Self::Mesmo)
    }

    /// Whether probabilities and costs can be added in logarithms.
    pub(super) fn is_logarithm(self) -> bool {
        !matches!(self, Self::Lcb | Self::Thompson | Self::Usemo)
    }
}
