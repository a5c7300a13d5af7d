//! Points of one scrambled Sobol sequence, continued by the number of trials.

use boxwood_core::SolverError;

use super::{Proposal, Proposals, Request, Sampler};
use crate::fill::random_rows;
use crate::history::Known;

/// Walks the study's own scrambled Sobol sequence (Sobol, 1967; scrambling after Owen, 1995).
///
/// The sequence is seeded by the study and entered at the number of existing trials. Points that exist already (a
/// finite space repeats levels) are skipped; what the sequence cannot give is drawn at random.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SobolSampler;

/// Further points of the sequence looked at when some are known already.
const SPARE: usize = 8;

/// Up to `count` new rows of the study's sequence, after its trials and `placed` further rows; adds them to `known`.
pub(crate) fn sobol_rows(
    request: &Request<'_>,
    placed: usize,
    count: usize,
    known: &mut Known,
) -> Vec<Vec<f64>> {
    let problem = request.view.problem();
    let skip = request.view.trials().len() + placed;
    let rows = problem.space().sobol(problem.seed(), skip as u32, count + SPARE);
    rows.into_iter().filter(|row| known.insert(row)).take(count).collect()
}

impl Sampler for SobolSampler {
    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let rows = sobol_rows(request, request.placed.len(), request.starts.len(), known);
        let missing = request.starts.len() - rows.len();
        let mut list: Vec<Proposal> = rows.into_iter().map(|row| Proposal::plain(row, "sobol")).collect();
        if missing > 0 {
            let space = request.view.problem().space();
            let rows = random_rows(space, known, missing, request.seed.derive("random", 0));
            list.extend(rows.into_iter().map(|row| Proposal::plain(row, "random")));
        }
        Ok(Proposals { list, ..Proposals::default() })
    }
}
