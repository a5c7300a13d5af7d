//! What models made of trees have in common, and a memory of grown ones that changes nothing but time.

use crate::{Layout, Posterior, SurrogateError};
use boxwood_numeric::Rows;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

/// Models that a [`TreeCache`] keeps: the objective's, those by which its noise is told, and those of a few constraints.
const CACHE_SIZE: usize = 8;

/// A model of many trees that takes in rows after it was grown.
pub trait TreeEnsemble: Posterior + Clone + Debug + Sized {
    /// How it is grown.
    type Options: PartialEq + Clone + Debug + Send;

    /// Grows the trees on `(n, d)` rows and n finite losses; a pure function of its arguments.
    ///
    /// # Errors
    /// `Empty`, `Shape`, `TargetNotFinite`, `InvalidValue` for unusable observations.
    fn fit(
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        options: &Self::Options,
        seed: u64,
    ) -> Result<Self, SurrogateError>;

    /// Adds rows and losses to the leaves of every tree; neither splits nor the model scale change.
    ///
    /// # Errors
    /// As [`TreeEnsemble::fit`]; no rows are no error.
    fn absorb(&mut self, rows: &Rows, targets: &[f64]) -> Result<(), SurrogateError>;

    /// Adds rows in the belief that they return what the model predicts for them.
    ///
    /// # Errors
    /// `Shape` or `InvalidValue` for rows that do not fit.
    fn believe(&mut self, rows: &Rows) -> Result<(), SurrogateError>;
}

/// A memory of recent models, owned by whoever wants speed; answers are the same without it.
#[derive(Debug)]
pub struct TreeCache<M: TreeEnsemble> {
    /// Shared by the threads that plan with the same cache; guards only this list.
    entries: Mutex<Vec<Entry<M>>>,
}

/// A model with all that it depends on.
#[derive(Debug)]
struct Entry<M: TreeEnsemble> {
    layout: Layout,
    rows: Rows,
    targets: Vec<f64>,
    options: M::Options,
    seed: u64,
    model: Arc<M>,
}

impl<M: TreeEnsemble> Default for TreeCache<M> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<M: TreeEnsemble> TreeCache<M> {
    /// [`TreeEnsemble::fit`] on the first `count` rows and targets, or the same model from an earlier call with equal
    /// arguments.
    ///
    /// # Errors
    /// As [`TreeEnsemble::fit`].
    pub fn fit(
        &self,
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        count: usize,
        options: &M::Options,
        seed: u64,
    ) -> Result<Arc<M>, SurrogateError> {
        let count = count.min(rows.len());
        let targets = &targets[..count.min(targets.len())];
        let is_known = |entry: &&Entry<M>| {
            entry.seed == seed
                && entry.options == *options
                && entry.layout == *layout
                && entry.rows.len() == count
                && same_bits(&entry.targets, targets)
                && entry.rows.iter().zip(rows.iter()).all(|(a, b)| same_bits(a, b))
        };
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.iter().find(is_known) {
            return Ok(Arc::clone(&entry.model));
        }
        drop(entries);
        let rows = rows.slice(0, count);
        let model = Arc::new(M::fit(layout, &rows, targets, options, seed)?);
        let entry = Entry {
            layout: layout.clone(),
            rows,
            targets: targets.to_vec(),
            options: options.clone(),
            seed,
            model: Arc::clone(&model),
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CACHE_SIZE {
            entries.remove(0);
        }
        entries.push(entry);
        Ok(model)
    }
}

/// Equal bit by bit, so that equal arguments mean equal models.
fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
