//! What a study's results say.

use actix_web::{HttpRequest, get, web};
use boxwood_app::AnalysisRequest;
use boxwood_core::TrialNumber;
use boxwood_study::StudyId;
use boxwood_wire::ErrorCode;
use serde::Deserialize;
use serde_json::Value as Json;
use utoipa::IntoParams;

use super::problem::Problem;
use super::{State, call};
use crate::failure::Failure;

/// What to look at.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnalysisQuery {
    /// `importance`, `interactions`, `attribution`, `quality`, `forecast`, `front`, `hypervolume`, `convergence` or `best`.
    kind: String,
    /// Index of the objective, from 0.
    #[serde(default)]
    objective: usize,
    /// `attribution`: numbers of at most 20 trials, separated by commas; the five best ones when absent.
    #[serde(default)]
    trials: String,
    /// `forecast`: further trials; as many as have a result when absent.
    #[serde(default)]
    more: Option<u64>,
}

/// Trial numbers separated by commas.
fn numbers(text: &str) -> Result<Vec<TrialNumber>, Failure> {
    let number = |word: &str| {
        let number = word.trim().parse();
        number.map(TrialNumber).map_err(|error| Failure::invalid("trials", &format!("`{word}`: {error}")))
    };
    text.split(',').filter(|word| !word.trim().is_empty()).map(number).collect()
}

/// What a study's results say; the answer's form depends on the kind.
#[utoipa::path(tag = "studies", params(AnalysisQuery),
    responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
#[get("/v1/studies/{id}/analysis")]
pub(super) async fn analyze_study(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
    query: web::Query<AnalysisQuery>,
) -> Result<web::Json<Json>, Failure> {
    let AnalysisQuery { kind, objective, trials, more } = query.into_inner();
    let analysis = call(&state, &request, "analyze_study", move |app, caller| async move {
        let trials = numbers(&trials)?;
        let asked = AnalysisRequest { kind: kind.parse()?, objective, trials, more };
        let analysis = app.analyze(&caller, StudyId(id.into_inner()), asked).await?;
        serde_json::to_value(analysis).map_err(|_| Failure::new(ErrorCode::Internal, "internal error"))
    });
    analysis.await.map(web::Json)
}
