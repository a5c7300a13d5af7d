//! A forest that chooses among the points of another sampler.

use boxwood_acquisition::Candidate;
use boxwood_core::{Rung, SolverError};
use boxwood_numeric::Rows;
use boxwood_surrogate::Forest;

use super::Forests;
use super::state::State;
use crate::sampler::candidates::layout;
use crate::sampler::model::numeric;
use crate::sampler::{Proposal, Request};

/// Picks among rows that something else has made, by a forest on the results of one rung.
pub(crate) struct Screen<'a> {
    request: &'a Request<'a>,
    rung: Rung,
    forests: &'a Forests,
    state: Option<State<Forest>>,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(request: &'a Request<'a>, rung: Rung, forests: &'a Forests) -> Self {
        Self { request, rung, forests, state: None }
    }

    /// The best of the rows, the first where there is no choice or nothing to predict it by; `chosen` are the points of this
    /// plan so far, `sampler` is who made the rows.
    pub(crate) fn pick(
        &mut self,
        mut rows: Vec<Vec<f64>>,
        chosen: &[Vec<f64>],
        sampler: &'static str,
    ) -> Result<Option<Proposal>, SolverError> {
        let measured = self.request.history.levels[self.rung.0 as usize].entries.len();
        if rows.len() < 2 || measured < 2 {
            return Ok(rows.drain(..).next().map(|row| Proposal::plain(row, sampler)));
        }
        if self.state.is_none() {
            let layout = layout(self.request.view.problem().space());
            self.state = Some(State::of(self.request, self.rung, &layout, &self.forests.trees())?);
        }
        let state = self.state.as_mut().expect("grown just above");
        state.believe_chosen(chosen)?;
        let table = Rows::from_rows(rows[0].len(), &rows).map_err(|error| numeric(&error))?;
        let proposal = state.choose(&mut |acquisition, _| {
            let values = acquisition.log_value(&table).map_err(|error| numeric(&error))?;
            // The first of equals.
            let best = (0..values.len()).rev().max_by(|a, b| values[*a].total_cmp(&values[*b]));
            Ok(best.map(|best| Candidate { row: std::mem::take(&mut rows[best]), value: values[best] }))
        })?;
        Ok(proposal.map(|proposal| Proposal { sampler, ..proposal }))
    }
}
