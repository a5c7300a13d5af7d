//! What to ask of a study's results.

/// An analysis of a study's results; its kind alone is one, too: `study.analyze("importance")`.
///
/// | kind | answer |
/// |---|---|
/// | `importance` | which parameters decide whether a result is among the best |
/// | `interactions` | shares of the variance, by parameter and by pair |
/// | `attribution` | what each parameter contributed to a trial's value |
/// | `quality` | how well the model predicts results that it was not shown |
/// | `forecast` | what further trials can be expected to bring |
/// | `best` | the best point according to the model |
/// | `front`, `hypervolume` | the Pareto front, and its hypervolume after each result |
/// | `convergence` | the best value after each result |
///
/// ```no_run
/// # async fn look(study: boxwood_client::Study) -> Result<(), boxwood_client::Error> {
/// use boxwood_client::Analysis;
///
/// let importance = study.analyze("importance").await?;
/// match &importance["why_not"] {
///     serde_json::Value::String(reason) => println!("no answer: {reason}"),
///     _ => println!("{}", importance["answer"]),
/// }
/// let forecast = study.analyze(Analysis::new("forecast").more(50)).await?;
/// let why = study.analyze(Analysis::new("attribution").trials([3, 7])).await?;
/// # let _ = (forecast, why);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analysis {
    pub(crate) kind: String,
    pub(crate) objective: u32,
    pub(crate) trials: Vec<u32>,
    pub(crate) more: Option<u64>,
}

impl Analysis {
    /// An analysis of this kind, of the first objective.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), objective: 0, trials: Vec::new(), more: None }
    }

    /// Looks at another objective, counted from 0.
    #[must_use]
    pub fn objective(self, index: u32) -> Self {
        Self { objective: index, ..self }
    }

    /// `attribution`: numbers of the trials to explain; the best ones when none is named.
    #[must_use]
    pub fn trials(self, numbers: impl IntoIterator<Item = u32>) -> Self {
        Self { trials: numbers.into_iter().collect(), ..self }
    }

    /// `forecast`: further trials; as many as there were when not given.
    #[must_use]
    pub fn more(self, trials: u64) -> Self {
        Self { more: Some(trials), ..self }
    }
}

impl From<&str> for Analysis {
    fn from(kind: &str) -> Self {
        Self::new(kind)
    }
}
