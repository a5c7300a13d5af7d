//! The three services of the fake server.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use boxwood_wire::{ErrorCode, v1};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{State, new_trial, refuse};

#[derive(Clone)]
pub(super) struct Services(pub(super) Arc<Mutex<State>>);

type Answer<T> = Result<Response<T>, Status>;

impl Services {
    fn enter<T>(&self, name: &'static str, request: &Request<T>) -> Result<MutexGuard<'_, State>, Status> {
        let mut state = self.0.lock().unwrap();
        *state.calls.entry(name).or_default() += 1;
        let expected = state.token.as_ref().map(|token| format!("Bearer {token}"));
        let given = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        if expected.is_some() && expected.as_deref() != given {
            return Err(refuse(ErrorCode::Unauthenticated, "wrong token"));
        }
        Ok(state)
    }
}

/// Loses the answer of a call that did its work, where the script says so.
fn deliver<T>(state: &mut State, name: &'static str, answer: T) -> Answer<T> {
    if let Some(left) = state.lose_answers.get_mut(name).filter(|left| **left > 0) {
        *left -= 1;
        return Err(Status::unavailable("connection lost"));
    }
    Ok(Response::new(answer))
}

fn study(state: &State, id: i64, name: &str) -> Result<v1::Study, Status> {
    let found = state.studies.iter().find(|study| study.id == id || (id == 0 && study.name == name));
    let mut study = found.cloned().ok_or_else(|| refuse(ErrorCode::NotFound, "no such study"))?;
    study.trials = state.trials.len() as u32;
    let finished = state.trials.values().filter(|trial| trial.study == study.id && trial.value.is_some());
    study.best = finished.max_by(|a, b| a.value.unwrap().total_cmp(&b.value.unwrap())).cloned();
    Ok(study)
}

#[async_trait]
impl v1::study_service_server::StudyService for Services {
    async fn create_study(
        &self,
        request: Request<v1::CreateStudyRequest>,
    ) -> Answer<v1::CreateStudyResponse> {
        let mut state = self.enter("create_study", &request)?;
        let request = request.into_inner();
        let spec: serde_json::Value = serde_json::from_str(&request.spec_json).unwrap();
        let name = spec["name"].as_str().unwrap().to_owned();
        if let Ok(existing) = study(&state, 0, &name) {
            if existing.spec_json != request.spec_json {
                return Err(refuse(ErrorCode::StudyExists, "another specification"));
            }
            return deliver(
                &mut state,
                "create_study",
                v1::CreateStudyResponse { study: Some(existing), existed: true },
            );
        }
        state.left = spec["budget"]["trials"].as_u64().unwrap_or(3) as u32;
        let created = v1::Study {
            id: state.studies.len() as i64 + 1,
            name,
            spec_json: request.spec_json,
            state: v1::StudyState::Active.into(),
            created_at: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
            ..v1::Study::default()
        };
        state.studies.push(created.clone());
        deliver(&mut state, "create_study", v1::CreateStudyResponse { study: Some(created), existed: false })
    }

    async fn get_study(&self, request: Request<v1::GetStudyRequest>) -> Answer<v1::Study> {
        let state = self.enter("get_study", &request)?;
        let request = request.into_inner();
        study(&state, request.id, &request.name).map(Response::new)
    }

    async fn list_studies(
        &self,
        request: Request<v1::ListStudiesRequest>,
    ) -> Answer<v1::ListStudiesResponse> {
        let state = self.enter("list_studies", &request)?;
        let request = request.into_inner();
        let newest_first = state.studies.iter().rev();
        let mut studies: Vec<_> =
            newest_first.filter(|study| request.before == 0 || study.id < request.before).cloned().collect();
        let more = studies.len() > request.limit as usize;
        studies.truncate(request.limit as usize);
        Ok(Response::new(v1::ListStudiesResponse { studies, more }))
    }

    async fn update_study(&self, request: Request<v1::UpdateStudyRequest>) -> Answer<v1::Study> {
        let mut state = self.enter("update_study", &request)?;
        let request = request.into_inner();
        let new = match request.action() {
            v1::StudyAction::Pause => v1::StudyState::Paused,
            v1::StudyAction::Unspecified if request.stop_json.is_empty() => {
                return Err(refuse(ErrorCode::SpecInvalid, "action"));
            }
            v1::StudyAction::Unspecified | v1::StudyAction::Resume => v1::StudyState::Active,
            v1::StudyAction::Cancel => v1::StudyState::Cancelled,
        };
        let changed = state.studies.iter_mut().find(|study| study.id == request.id).unwrap();
        changed.state = new.into();
        changed.state_reason = request.reason;
        if !request.stop_json.is_empty() {
            changed.spec_json = format!(r#"{{"stop": {}}}"#, request.stop_json);
        }
        Ok(Response::new(changed.clone()))
    }

    async fn explain_study(&self, request: Request<v1::GetStudyRequest>) -> Answer<v1::JsonDocument> {
        drop(self.enter("explain_study", &request)?);
        Ok(Response::new(v1::JsonDocument { json: r#"{"solver":"random"}"#.into() }))
    }

    async fn analyze_study(&self, request: Request<v1::AnalyzeStudyRequest>) -> Answer<v1::JsonDocument> {
        drop(self.enter("analyze_study", &request)?);
        let v1::AnalyzeStudyRequest { id, kind, objective, trials, more, .. } = request.into_inner();
        let asked = serde_json::json!({"id": id, "kind": kind, "objective": objective, "trials": trials, "more": more});
        Ok(Response::new(v1::JsonDocument {
            json: serde_json::json!({"kind": kind, "answer": asked}).to_string(),
        }))
    }

    async fn replay_study(&self, request: Request<v1::GetStudyRequest>) -> Answer<v1::ReplayResponse> {
        drop(self.enter("replay_study", &request)?);
        Ok(Response::new(v1::ReplayResponse { plans: 2, moves: 3, differences: vec![] }))
    }

    type WatchStudyStream = std::pin::Pin<Box<dyn Stream<Item = Result<v1::StudyChange, Status>> + Send>>;

    async fn watch_study(&self, request: Request<v1::GetStudyRequest>) -> Answer<Self::WatchStudyStream> {
        drop(self.enter("watch_study", &request)?);
        let (state, id) = (Arc::clone(&self.0), request.into_inner().id);
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            let mut seen = None;
            loop {
                let study = study(&state.lock().unwrap(), id, "").unwrap();
                let is_over = study.state == i32::from(v1::StudyState::Cancelled);
                if seen.as_ref() != Some(&study) {
                    seen = Some(study.clone());
                    let change = v1::StudyChange { study: Some(study), trials: vec![] };
                    if sender.send(Ok(change)).await.is_err() {
                        return;
                    }
                }
                if is_over {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver))))
    }
}

#[async_trait]
impl v1::trial_service_server::TrialService for Services {
    async fn suggest(&self, request: Request<v1::SuggestRequest>) -> Answer<v1::LeasesResponse> {
        let mut state = self.enter("suggest", &request)?;
        let request = request.into_inner();
        if let Some(known) = state.answers.get(&request.request_id).cloned() {
            return Ok(Response::new(known));
        }
        let mut answer = v1::LeasesResponse { closed: state.left == 0, leases: vec![] };
        for _ in 0..request.count.min(state.left) {
            state.left -= 1;
            let id = state.trials.len() as i64 + 1;
            state.push_trial(id, "", 0, 3, "");
            let mut lease = state.queue.pop_back().unwrap();
            lease.study = request.study;
            lease.point_json = new_trial(id, 1).point_json;
            state.grant(&lease);
            answer.leases.push(lease);
        }
        state.answers.insert(request.request_id, answer.clone());
        deliver(&mut state, "suggest", answer)
    }

    async fn enqueue(&self, request: Request<v1::EnqueueRequest>) -> Answer<v1::EnqueueResponse> {
        drop(self.enter("enqueue", &request)?);
        let points = request.into_inner().points_json.into_iter();
        let trials =
            points.map(|point_json| v1::Trial { point_json, origin: "user".into(), ..new_trial(90, 1) });
        Ok(Response::new(v1::EnqueueResponse { trials: trials.collect() }))
    }

    async fn get_trial(&self, request: Request<v1::GetTrialRequest>) -> Answer<v1::TrialWithCurve> {
        let state = self.enter("get_trial", &request)?;
        let id = request.into_inner().id;
        let trial = state.trials.get(&id).ok_or_else(|| refuse(ErrorCode::NotFound, "no such trial"))?;
        let curve = state.reports.iter().filter(|entry| entry.lease.unwrap().trial == id).map(|entry| {
            v1::CurvePoint {
                epoch: entry.lease.unwrap().epoch,
                step: entry.step,
                metrics: entry.metrics.clone(),
                seconds: entry.seconds,
                at: None,
            }
        });
        Ok(Response::new(v1::TrialWithCurve { trial: Some(trial.clone()), curve: curve.collect() }))
    }

    async fn list_trials(&self, request: Request<v1::ListTrialsRequest>) -> Answer<v1::ListTrialsResponse> {
        let state = self.enter("list_trials", &request)?;
        let request = request.into_inner();
        let mut trials: Vec<_> =
            state.trials.values().filter(|trial| trial.id > request.after).cloned().collect();
        let more = trials.len() > request.limit as usize;
        trials.truncate(request.limit as usize);
        Ok(Response::new(v1::ListTrialsResponse { trials, more }))
    }

    async fn cancel_trial(&self, request: Request<v1::CancelTrialRequest>) -> Answer<v1::Trial> {
        let mut state = self.enter("cancel_trial", &request)?;
        let trial = state.trials.get_mut(&request.into_inner().id).unwrap();
        trial.state = v1::TrialState::Cancelled.into();
        Ok(Response::new(trial.clone()))
    }

    async fn retry_trial(&self, request: Request<v1::GetTrialRequest>) -> Answer<v1::Trial> {
        drop(self.enter("retry_trial", &request)?);
        Err(refuse(ErrorCode::TrialState, "it has not failed"))
    }
}

#[async_trait]
impl v1::worker_service_server::WorkerService for Services {
    async fn acquire(&self, request: Request<v1::AcquireRequest>) -> Answer<v1::LeasesResponse> {
        drop(self.enter("acquire", &request)?);
        let request = request.into_inner();
        let deadline = Instant::now() + Duration::from_secs_f64(request.wait_seconds);
        loop {
            {
                let mut state = self.0.lock().unwrap();
                state.hello.clone_from(&request.worker);
                if let Some(known) = state.answers.get(&request.request_id).cloned() {
                    return Ok(Response::new(known));
                }
                if !state.queue.is_empty() || Instant::now() >= deadline {
                    let mut answer = v1::LeasesResponse::default();
                    while answer.leases.len() < request.slots as usize {
                        let Some(lease) = state.queue.pop_front() else { break };
                        state.grant(&lease);
                        answer.leases.push(lease);
                    }
                    state.answers.insert(request.request_id, answer.clone());
                    return deliver(&mut state, "acquire", answer);
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn heartbeat(&self, request: Request<v1::HeartbeatRequest>) -> Answer<v1::HeartbeatResponse> {
        let mut state = self.enter("heartbeat", &request)?;
        state.heartbeats += 1;
        let mut leases = Vec::new();
        for key in request.into_inner().leases {
            let held = state.is_held(&key);
            let command = state.commands.get(&key.trial).copied().unwrap_or(v1::VerdictKind::Continue);
            if held {
                let until = Instant::now() + Duration::from_secs_f64(state.lease_seconds);
                state.leases.insert((key.trial, key.epoch), until);
            }
            leases.push(v1::LeaseStatus { lease: Some(key), held, command: command.into() });
        }
        Ok(Response::new(v1::HeartbeatResponse { leases, drain: state.drain }))
    }

    async fn report(&self, request: Request<v1::ReportRequest>) -> Answer<v1::ReportResponse> {
        let mut state = self.enter("report", &request)?;
        let mut answers = Vec::new();
        for entry in request.into_inner().reports {
            let key = entry.lease.unwrap();
            let same = |known: &&v1::ReportEntry| known.lease == entry.lease && known.step == entry.step;
            let known = state.reports.iter().find(same).cloned();
            let refusal = if !state.is_held(&key) {
                Some(ErrorCode::LeaseLost)
            } else if known.as_ref().is_some_and(|known| known.metrics != entry.metrics) {
                Some(ErrorCode::ReportConflict)
            } else {
                None
            };
            let verdict = state.verdicts.get(&(key.trial, entry.step)).copied();
            let mut answer = v1::ReportAnswer {
                verdict: verdict.unwrap_or(v1::VerdictKind::Continue).into(),
                ..v1::ReportAnswer::default()
            };
            if let Some(code) = refusal {
                answer.error_code = code.as_str().into();
            } else if known.is_some() {
                state.repeated_reports += 1;
            } else {
                state.reports.push(entry);
            }
            answers.push(answer);
        }
        deliver(&mut state, "report", v1::ReportResponse { answers })
    }

    async fn finish(&self, request: Request<v1::FinishRequest>) -> Answer<v1::FinishResponse> {
        let mut state = self.enter("finish", &request)?;
        let request = request.into_inner();
        let key = request.lease.unwrap();
        let seen = state.finishes.iter().find(|finish| finish.lease == request.lease);
        let accepted = seen.is_some() || state.is_held(&key);
        let is_new = seen.is_none() && accepted;
        let top = request.result.as_ref().is_some_and(|result| result.step >= 3);
        let new = match request.ending() {
            v1::Ending::Reached if top => v1::TrialState::Completed,
            v1::Ending::Reached => v1::TrialState::Paused,
            v1::Ending::Stopped => v1::TrialState::Pruned,
            v1::Ending::Infeasible => v1::TrialState::Infeasible,
            v1::Ending::Preempted => v1::TrialState::Queued,
            v1::Ending::ProgramFailed | v1::Ending::OutOfMemory => v1::TrialState::Failed,
            v1::Ending::Unspecified => return Err(refuse(ErrorCode::SpecInvalid, "ending is unspecified")),
        };
        let trial =
            state.trials.get_mut(&key.trial).ok_or_else(|| refuse(ErrorCode::NotFound, "no such trial"))?;
        if is_new {
            trial.state = new.into();
            trial.reason.clone_from(&request.reason);
            trial.checkpoint.clone_from(&request.checkpoint);
            if let Some(result) = &request.result {
                trial.metrics.clone_from(&result.metrics);
                trial.value = result.metrics.get("auc").copied();
            }
        }
        let now = trial.state;
        if is_new {
            state.leases.remove(&(key.trial, key.epoch));
            state.finishes.push(request);
        }
        deliver(&mut state, "finish", v1::FinishResponse { state: now, accepted })
    }

    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Answer<v1::ListWorkersResponse> {
        drop(self.enter("list_workers", &request)?);
        let workers = vec![v1::Worker { name: "w".into(), slots: 2, ..v1::Worker::default() }];
        Ok(Response::new(v1::ListWorkersResponse { workers }))
    }

    async fn drain_worker(
        &self,
        request: Request<v1::DrainWorkerRequest>,
    ) -> Answer<v1::DrainWorkerResponse> {
        self.enter("drain_worker", &request)?.drain = true;
        Ok(Response::new(v1::DrainWorkerResponse {}))
    }
}
