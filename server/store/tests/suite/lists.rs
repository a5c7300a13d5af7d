//! Lists with seek pagination, projects and tokens.

use boxwood_store::*;
use boxwood_study::*;
use serde_json::json;

use super::*;

pub async fn studies_are_listed_by_pages(db: &Database) {
    let mut ids = Vec::new();
    for index in 0..7 {
        ids.push(create(&db.store, &format!("study{index}"), json!({})).await.id);
    }
    let archive = StudyPatch { archived: Some(true), ..StudyPatch::default() };
    db.store.patch_study(ids[6], Requested::once(archive)).await.unwrap();
    let pause = StudyPatch { event: Some(StudyEvent::Pause), ..StudyPatch::default() };
    db.store.patch_study(ids[2], Requested::once(pause)).await.unwrap();
    let all = StudyFilter {
        project: PROJECT,
        states: Vec::new(),
        name_contains: None,
        archived: false,
        before: None,
        limit: 4,
    };
    let first = db.store.studies(all.clone()).await.unwrap();
    assert_eq!(first.items.iter().map(|s| s.id).collect::<Vec<_>>(), [ids[5], ids[4], ids[3], ids[2]]);
    assert!(first.more);
    let rest = StudyFilter { before: Some(ids[2]), ..all.clone() };
    let rest = db.store.studies(rest).await.unwrap();
    assert_eq!((rest.items.len(), rest.more), (2, false));
    let paused = StudyFilter { states: vec![StudyState::Paused, StudyState::Cancelled], ..all.clone() };
    assert_eq!(db.store.studies(paused).await.unwrap().items[0].id, ids[2]);
    let named = StudyFilter { name_contains: Some("dy6".into()), archived: true, ..all };
    assert_eq!(db.store.studies(named).await.unwrap().items[0].id, ids[6]);
}

pub async fn trials_are_listed_by_pages(db: &Database) {
    for goal in ["maximize", "minimize"] {
        let objective = json!({"objectives": [{"metric": "auc", "goal": goal}]});
        let study = create(&db.store, goal, objective).await;
        commit(&db.store, study.id, (1..=9).map(|x| start(f64::from(x), 0)).collect()).await;
        let named = AcquireRequest { study: Some(study.id), ..ask("w", 6) };
        let grants = db.store.acquire(Requested::once(named)).await.unwrap();
        for (index, grant) in grants.iter().enumerate() {
            end(&db.store, grant, reached(1, [0.5, 0.9, 0.5, 0.1, 0.7, 0.5][index])).await;
        }
        let best: &[u32] =
            if goal == "maximize" { &[2, 5, 1, 3, 6, 4, 7, 8, 9] } else { &[4, 1, 3, 6, 5, 2, 7, 8, 9] };
        for (order, expected) in [
            (TrialOrder::Number, &[1, 2, 3, 4, 5, 6, 7, 8, 9][..]),
            (TrialOrder::Newest, &[9, 8, 7, 6, 5, 4, 3, 2, 1]),
            (TrialOrder::Best, best),
        ] {
            for limit in [1, 2, 4, 20] {
                let mut filter =
                    TrialFilter { study: study.id, states: Vec::new(), order, after: None, limit };
                let mut numbers = Vec::new();
                loop {
                    let page = db.store.trials(filter.clone()).await.unwrap();
                    numbers.extend(page.items.iter().map(|trial| trial.number));
                    filter.after = page.items.last().map(|trial| trial.id);
                    if !page.more {
                        break;
                    }
                }
                assert_eq!(numbers, expected, "{order:?} by {limit}");
            }
        }
        let queued = TrialFilter {
            study: study.id,
            states: vec![TrialState::Queued],
            order: TrialOrder::Newest,
            after: None,
            limit: 50,
        };
        assert_eq!(db.store.trials(queued).await.unwrap().items.len(), 3);
    }
}

pub async fn tokens_come_and_go(db: &Database) {
    let now = db.store.now().await.unwrap();
    let new = |hash: &str, expires_at| NewToken {
        hash: hash.into(),
        prefix: "bw_1".into(),
        name: "ci".into(),
        project: Some(PROJECT),
        role: Role::Operator,
        expires_at,
    };
    let token = db.store.create_token(new("h1", None)).await.unwrap();
    let expired = db.store.create_token(new("h2", Some(now.plus_seconds(-1.0)))).await.unwrap();
    let valid = db.store.create_token(new("h3", Some(now.plus_seconds(600.0)))).await.unwrap();
    assert_eq!(db.other.token_by_hash("h1").await.unwrap(), Some(token.clone()));
    assert_eq!(db.store.token_by_hash("h2").await.unwrap(), None);
    assert_eq!(db.store.token_by_hash("h3").await.unwrap(), Some(valid.clone()));
    assert_eq!(db.store.token_by_hash("h4").await.unwrap(), None);
    db.store.revoke_token(token.id).await.unwrap();
    assert_eq!(db.other.token_by_hash("h1").await.unwrap(), None);
    assert_eq!(db.store.tokens().await.unwrap(), [expired, valid]);
    assert_eq!(db.store.revoke_token(TokenId(99)).await.unwrap_err(), StoreError::NotFound { what: "token" });
}

pub async fn projects_have_unique_names(db: &Database) {
    let new = |name: &str| NewProject { name: name.into() };
    let team = db.store.create_project(new("team")).await.unwrap();
    assert_eq!(db.other.create_project(new("team")).await.unwrap(), team);
    let default = db.store.create_project(new("default")).await.unwrap();
    assert_eq!(default.id, PROJECT);
    assert_eq!(db.store.projects().await.unwrap(), [default, team]);
}
