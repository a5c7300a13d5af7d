//! Latin hypercubes whose rows lie far apart.

use boxwood_core::{Problem, SolverError, Unsupported};

use super::design::spread_hypercube;
use super::{Proposal, Proposals, Request, Sampler};
use crate::fill::random_rows;
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameters of the design.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "block",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 4096 },
        meaning: "Trials per hypercube; the next block is another one. 0 is the budget where it is at most 512, else 256.",
    },
    ParameterInfo {
        name: "tries",
        kind: ParameterKind::Integer { default: 10, low: 1, high: 1000 },
        meaning: "Hypercubes drawn per block, of which the one whose closest two rows lie furthest apart is used.",
    },
];

/// Largest budget that is one block by default, and the block of all others.
const LARGEST_BLOCK: usize = 512;
const COMMON_BLOCK: usize = 256;

/// Maximin Latin hypercubes (`McKay`, Beckman and Conover, 1979; Johnson, Moore and Ylvisaker, 1990), block by block.
///
/// The row of a trial is a function of the study's seed and the trial's place among all trials. A row that exists
/// already is replaced by a random one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LatinSampler {
    block: usize,
    tries: u64,
}

impl LatinSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        Ok(Self { block: parameters.integer("block")? as usize, tries: parameters.integer("tries")? })
    }

    fn block(&self, problem: &Problem) -> usize {
        match (self.block, problem.max_trials()) {
            (0, Some(budget)) if budget <= LARGEST_BLOCK as u64 => budget as usize,
            (0, _) => COMMON_BLOCK,
            (given, _) => given,
        }
    }
}

impl Sampler for LatinSampler {
    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let size = self.block(problem);
        let first = request.view.trials().len() + request.placed.len();
        let mut block: Option<(usize, Vec<Vec<f64>>)> = None;
        let mut list = Vec::with_capacity(request.starts.len());
        for index in first..first + request.starts.len() {
            request.stop.check()?;
            if block.as_ref().is_none_or(|(number, _)| *number != index / size) {
                let rows = spread_hypercube(problem, size, self.tries, (index / size) as u64);
                block = Some((index / size, rows.unwrap_or_default()));
            }
            let row = block.as_ref().and_then(|(_, rows)| rows.get(index % size));
            if let Some(row) = row.filter(|row| known.insert(row)) {
                list.push(Proposal::plain(row.clone(), "latin_hypercube"));
                continue;
            }
            let seed = request.seed.derive("random", index as u64);
            let Some(row) = random_rows(problem.space(), known, 1, seed).pop() else { break };
            list.push(Proposal::plain(row, "random"));
        }
        Ok(Proposals { list, ..Proposals::default() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use boxwood_testkit::TestProblem;
    use boxwood_testkit::problems::Branin;

    use super::*;

    #[test]
    fn a_block_is_a_hypercube() {
        let mut spec = Branin.spec();
        spec.max_trials = Some(20);
        let problem = spec.check().unwrap();
        let many = spread_hypercube(&problem, 20, 30, 0).unwrap();
        for column in 0..2 {
            let mut cells: Vec<usize> = many.iter().map(|row| (row[column] * 20.0) as usize).collect();
            cells.sort_unstable();
            assert_eq!(cells, (0..20).collect::<Vec<_>>(), "one row per cell of column {column}");
        }
    }
}
