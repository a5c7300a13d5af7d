//! Every point of a grid, in order.

use boxwood_core::SolverError;

use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameters of the grid.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[ParameterInfo {
    name: "resolution",
    kind: ParameterKind::Integer { default: 5, low: 1, high: 1000 },
    meaning: "Number of values per continuous parameter.",
}];

/// Walks the grid of the space in its fixed order; the study ends when the grid does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GridSampler {
    resolution: u64,
}

impl GridSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, boxwood_core::Unsupported> {
        Ok(Self { resolution: parameters.integer("resolution")? })
    }
}

impl Sampler for GridSampler {
    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let space = request.view.problem().space();
        let rows = space.grid(self.resolution).filter(|row| known.insert(row)).take(request.starts.len());
        let list = rows.map(|row| Proposal::plain(row, "grid")).collect();
        Ok(Proposals { list, ..Proposals::default() })
    }
}
