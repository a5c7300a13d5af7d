//! Uniform random points.

use boxwood_core::SolverError;

use super::{Proposal, Proposals, Request, Sampler};
use crate::fill::random_rows;
use crate::history::Known;

/// Draws uniformly from the space, each plan from its own seed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RandomSampler;

impl Sampler for RandomSampler {
    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let space = request.view.problem().space();
        let rows = random_rows(space, known, request.starts.len(), request.seed.derive("random", 0));
        let list = rows.into_iter().map(|row| Proposal::plain(row, "random")).collect();
        Ok(Proposals { list, ..Proposals::default() })
    }
}
