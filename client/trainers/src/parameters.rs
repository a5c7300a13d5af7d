//! Hyperparameters of the arms: one table of rules that checks requests and writes the template search space.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::TrainerError;

/// A model family of the click-through-rate program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// Logistic regression on all fields.
    Lr,
    /// Factorization machine (Rendle 2010).
    Fm,
    /// Factorization machine and MLP on shared embeddings (Guo et al. 2017).
    DeepFm,
    /// Cross network version 2 with MLPs (Wang et al. 2021).
    DcnV2,
}

impl Arm {
    /// All arms, cheapest first.
    pub const ALL: [Self; 4] = [Self::Lr, Self::Fm, Self::DeepFm, Self::DcnV2];

    /// Name in requests and search spaces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lr => "lr",
            Self::Fm => "fm",
            Self::DeepFm => "deepfm",
            Self::DcnV2 => "dcnv2",
        }
    }

    /// The arm of a name.
    ///
    /// # Errors
    ///
    /// [`TrainerError::Parameter`] for `model` where no arm has that name.
    pub fn parse(name: &str) -> Result<Self, TrainerError> {
        Self::ALL.into_iter().find(|arm| arm.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|arm| arm.name()).collect();
            TrainerError::parameter("model", format!("`{name}` is not one of {}", known.join(", ")))
        })
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How the cross network and the MLPs of `DCNv2` are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrossStructure {
    /// The crossed input beside the MLP of the plain input.
    Parallel,
    /// The MLP of the crossed input.
    Stacked,
    /// Both MLPs side by side.
    StackedParallel,
    /// The crossed input alone.
    CrossnetOnly,
}

impl CrossStructure {
    pub(crate) fn has_parallel_mlp(self) -> bool {
        matches!(self, Self::Parallel | Self::StackedParallel)
    }

    pub(crate) fn has_stacked_mlp(self) -> bool {
        matches!(self, Self::Stacked | Self::StackedParallel)
    }

    fn parse(name: &str) -> Self {
        match name {
            "stacked" => Self::Stacked,
            "stacked_parallel" => Self::StackedParallel,
            "crossnet_only" => Self::CrossnetOnly,
            _ => Self::Parallel,
        }
    }
}

/// Checked hyperparameters of one trial; what an arm does not have keeps a value that it does not read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HyperParameters {
    /// Model family.
    pub arm: Arm,
    /// Peak learning rate of Adam.
    pub learning_rate: f64,
    /// Rows per step.
    pub batch_size: usize,
    /// Size of an embedding.
    pub embedding_dim: usize,
    /// Penalty (lambda / 2) |E|^2 on all rows of all tables.
    pub embedding_l2: f64,
    /// Penalty on the matrices of dense layers.
    pub net_l2: f64,
    /// Hidden layers of an MLP.
    pub mlp_layers: usize,
    /// Width of the first hidden layer.
    pub mlp_width: usize,
    /// Whether each hidden layer is half as wide as the one before.
    pub mlp_halving: bool,
    /// Share of hidden units dropped in training.
    pub dropout: f64,
    /// Whether hidden layers are batch-normalized.
    pub batch_norm: bool,
    /// Cross layers of `DCNv2`.
    pub cross_layers: usize,
    /// Structure of `DCNv2`.
    pub structure: CrossStructure,
    /// Rank of the cross experts; 0 for full matrices.
    pub low_rank: usize,
    /// Number of low-rank cross experts.
    pub experts: usize,
}

impl HyperParameters {
    /// Checks the parameters of one trial. Those that are not given take their defaults.
    ///
    /// # Errors
    ///
    /// Names the parameter that is unknown, of a wrong type or out of range.
    pub fn parse(arm: Arm, values: &BTreeMap<String, Value>) -> Result<Self, TrainerError> {
        let rules = rules(arm);
        if let Some(unknown) = values.keys().find(|name| !rules.iter().any(|rule| rule.name == name.as_str()))
        {
            return Err(TrainerError::UnknownParameter {
                name: unknown.clone(),
                arm: arm.name().into(),
                known: rules.iter().map(|rule| rule.name).collect::<Vec<_>>().join(", "),
            });
        }
        let read = Reader { rules: &rules, values };
        Ok(Self {
            arm,
            learning_rate: read.float("learning_rate")?,
            batch_size: read.integer("batch_size")?,
            embedding_dim: read.integer("embedding_dim")?,
            embedding_l2: read.float(if matches!(arm, Arm::Lr | Arm::Fm) { "l2" } else { "embedding_l2" })?,
            net_l2: read.float("net_l2")?,
            mlp_layers: read.integer("mlp_layers")?,
            mlp_width: read.integer("mlp_width")?,
            mlp_halving: read.text("mlp_shape")? == "halving",
            dropout: read.float("dropout")?,
            batch_norm: read.boolean("batch_norm")?,
            cross_layers: read.integer("cross_layers")?,
            structure: CrossStructure::parse(&read.text("structure")?),
            low_rank: read.integer("low_rank")?,
            experts: read.integer("experts")?,
        })
    }

    /// Widths of the hidden layers.
    pub(crate) fn mlp_widths(&self) -> Vec<usize> {
        let width =
            |layer: usize| if self.mlp_halving { (self.mlp_width >> layer).max(1) } else { self.mlp_width };
        (0..self.mlp_layers).map(width).collect()
    }
}

/// What a parameter may be. Accepted limits are wide; the template searches where small data sets have their optimum.
#[derive(Debug, Clone, Copy)]
enum Domain {
    Float {
        accepted: (f64, f64),
        template: (f64, f64),
        log: bool,
        default: f64,
    },
    Integer {
        accepted: (u64, u64),
        template: (u64, u64),
        log: bool,
        default: u64,
    },
    Ordinal {
        accepted: (u64, u64),
        template: &'static [u64],
        default: u64,
    },
    Categorical {
        accepted: &'static [&'static str],
        template: &'static [&'static str],
        default: &'static str,
    },
    Boolean {
        default: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    name: &'static str,
    domain: Domain,
    /// Whether the template searches over it.
    searched: bool,
}

impl Rule {
    const fn new(name: &'static str, domain: Domain) -> Self {
        Self { name, domain, searched: true }
    }

    const fn fixed(name: &'static str, domain: Domain) -> Self {
        Self { name, domain, searched: false }
    }

    /// One parameter of the template search space.
    fn template(&self) -> Value {
        let scale = |log: bool| if log { "log" } else { "linear" };
        match self.domain {
            Domain::Float { template: (low, high), log, default, .. } => {
                json!({"name": self.name, "type": "float", "low": low, "high": high, "scale": scale(log), "default": default})
            }
            Domain::Integer { template: (low, high), log, default, .. } => {
                json!({"name": self.name, "type": "integer", "low": low, "high": high, "scale": scale(log), "default": default})
            }
            Domain::Ordinal { template, default, .. } => {
                json!({"name": self.name, "type": "ordinal", "choices": template, "default": default})
            }
            Domain::Categorical { template, default, .. } => {
                json!({"name": self.name, "type": "categorical", "choices": template, "default": default})
            }
            Domain::Boolean { default } => json!({"name": self.name, "type": "boolean", "default": default}),
        }
    }
}

/// Learning rate, batch size: every arm has them. Defaults as calibrated on `MovieLens` 100K.
fn optimizer_rules(learning_rate: f64, batch_size: u64) -> [Rule; 2] {
    [
        Rule::new(
            "learning_rate",
            Domain::Float {
                accepted: (1e-6, 1.0),
                template: (3e-4, 3e-2),
                log: true,
                default: learning_rate,
            },
        ),
        Rule::new(
            "batch_size",
            Domain::Ordinal {
                accepted: (2, 65_536),
                template: &[512, 1024, 2048, 4096],
                default: batch_size,
            },
        ),
    ]
}

fn embedding_rule(largest: u64) -> Rule {
    Rule::new(
        "embedding_dim",
        Domain::Integer { accepted: (1, 512), template: (4, largest), log: true, default: 16 },
    )
}

fn penalty_rule(name: &'static str, template: (f64, f64), default: f64) -> Rule {
    Rule::new(name, Domain::Float { accepted: (0.0, 10.0), template, log: true, default })
}

/// The MLP block of the shared space `ctr.base`.
fn mlp_rules() -> [Rule; 6] {
    [
        Rule::fixed(
            "net_l2",
            Domain::Float { accepted: (0.0, 1.0), template: (1e-9, 1e-4), log: true, default: 0.0 },
        ),
        Rule::new(
            "mlp_layers",
            Domain::Integer { accepted: (1, 8), template: (1, 3), log: false, default: 2 },
        ),
        Rule::new(
            "mlp_width",
            Domain::Ordinal { accepted: (1, 4096), template: &[32, 64, 128], default: 64 },
        ),
        Rule::new(
            "mlp_shape",
            Domain::Categorical {
                accepted: &["const", "halving"],
                template: &["const", "halving"],
                default: "const",
            },
        ),
        Rule::new(
            "dropout",
            Domain::Float { accepted: (0.0, 0.95), template: (0.0, 0.5), log: false, default: 0.2 },
        ),
        Rule::new("batch_norm", Domain::Boolean { default: false }),
    ]
}

/// Parameters of one arm, in the order of the template.
fn rules(arm: Arm) -> Vec<Rule> {
    let mut rules = Vec::new();
    match arm {
        Arm::Lr => {
            rules.extend(optimizer_rules(2e-2, 1024));
            rules.push(penalty_rule("l2", (1e-9, 1e-2), 1e-5));
        }
        Arm::Fm => {
            rules.extend(optimizer_rules(1e-2, 1024));
            rules.push(embedding_rule(32));
            rules.push(penalty_rule("l2", (1e-7, 1e-1), 1e-4));
        }
        Arm::DeepFm | Arm::DcnV2 => {
            rules.extend(optimizer_rules(5e-3, 1024));
            rules.push(embedding_rule(if arm == Arm::DcnV2 { 16 } else { 32 }));
            rules.push(penalty_rule("embedding_l2", (1e-7, 1e-1), 1e-3));
            rules.extend(mlp_rules());
        }
    }
    if arm == Arm::DcnV2 {
        rules.push(Rule::new(
            "cross_layers",
            Domain::Integer { accepted: (1, 10), template: (1, 3), log: false, default: 2 },
        ));
        rules.push(Rule::new(
            "structure",
            Domain::Categorical {
                accepted: &["parallel", "stacked", "stacked_parallel", "crossnet_only"],
                template: &["parallel", "stacked"],
                default: "parallel",
            },
        ));
        rules.push(Rule::fixed(
            "low_rank",
            Domain::Ordinal { accepted: (0, 1024), template: &[], default: 0 },
        ));
        rules.push(Rule::fixed(
            "experts",
            Domain::Integer { accepted: (1, 16), template: (1, 4), log: false, default: 4 },
        ));
    }
    rules
}

/// The template search space: each arm with the parameters worth tuning on small and medium data sets.
///
/// Shape: `{"arms": {"parameter": "model", "choices": {ARM: {"parameters": [PARAMETER, ...]}}}}`, where a parameter has
/// `name`, `type` (float, integer, ordinal, categorical, boolean), `default`, and `low`, `high`, `scale` or `choices`.
/// Ranges are the models' specification scaled to data sets of up to a few hundred thousand rows: one epoch over the
/// 80,000 training rows of `MovieLens` 100K takes two to three seconds of one core at the costliest point and well under one at most others. What is left out
/// (`net_l2`, `low_rank`, `experts`, the larger structures) is still accepted.
pub fn space(arms: &[Arm]) -> Value {
    let choices: serde_json::Map<String, Value> = arms
        .iter()
        .map(|&arm| {
            let parameters: Vec<Value> =
                rules(arm).iter().filter(|rule| rule.searched).map(Rule::template).collect();
            (arm.name().to_owned(), json!({ "parameters": parameters }))
        })
        .collect();
    json!({"arms": {"parameter": "model", "choices": choices}})
}

struct Reader<'a> {
    rules: &'a [Rule],
    values: &'a BTreeMap<String, Value>,
}

impl Reader<'_> {
    /// The rule of a parameter, or nothing where the arm does not have it.
    fn rule(&self, name: &str) -> Option<Domain> {
        self.rules.iter().find(|rule| rule.name == name).map(|rule| rule.domain)
    }

    fn float(&self, name: &str) -> Result<f64, TrainerError> {
        let Some(Domain::Float { accepted: (low, high), default, .. }) = self.rule(name) else {
            return Ok(0.0);
        };
        let Some(value) = self.values.get(name) else { return Ok(default) };
        match value.as_f64() {
            Some(number) if (low..=high).contains(&number) => Ok(number),
            _ => Err(TrainerError::parameter(name, format!("{value} is not a number in {low}..={high}"))),
        }
    }

    fn integer(&self, name: &str) -> Result<usize, TrainerError> {
        let Some(
            Domain::Integer { accepted: (low, high), default, .. }
            | Domain::Ordinal { accepted: (low, high), default, .. },
        ) = self.rule(name)
        else {
            return Ok(1);
        };
        let Some(value) = self.values.get(name) else { return Ok(default as usize) };
        // A whole number may arrive as 64.0, which some JSON writers make of 64.
        let number = value
            .as_u64()
            .or_else(|| value.as_f64().filter(|v| v.fract() == 0.0 && *v >= 0.0).map(|v| v as u64));
        match number {
            Some(number) if (low..=high).contains(&number) => Ok(number as usize),
            _ => {
                Err(TrainerError::parameter(name, format!("{value} is not a whole number in {low}..={high}")))
            }
        }
    }

    fn boolean(&self, name: &str) -> Result<bool, TrainerError> {
        let Some(Domain::Boolean { default }) = self.rule(name) else { return Ok(false) };
        let Some(value) = self.values.get(name) else { return Ok(default) };
        value
            .as_bool()
            .ok_or_else(|| TrainerError::parameter(name, format!("{value} is neither true nor false")))
    }

    fn text(&self, name: &str) -> Result<String, TrainerError> {
        let Some(Domain::Categorical { accepted, default, .. }) = self.rule(name) else {
            return Ok(String::new());
        };
        let Some(value) = self.values.get(name) else { return Ok(default.to_owned()) };
        match value.as_str() {
            Some(text) if accepted.contains(&text) => Ok(text.to_owned()),
            _ => Err(TrainerError::parameter(name, format!("{value} is not one of {}", accepted.join(", ")))),
        }
    }
}
