//! What a study's results say, through both front ends.

use boxwood_wire::{ErrorCode, v1};
use serde_json::{Value as Json, json};

use crate::harness::{Running, refused, refused_by_rest, spec, start};

/// Trials whose first value counts and whose second one hardly does.
async fn measured(server: &Running, name: &str, trials: usize) -> i64 {
    let study = server.create(spec(name, json!({}))).await.id;
    for _ in 0..trials {
        let lease = server.suggest(study).await;
        let point: Json = serde_json::from_str(&lease.point_json).unwrap();
        let (x, n) = (point["x"].as_f64().unwrap(), point["n"].as_f64().unwrap());
        server.finish(&lease, 0.9 - (x - 0.3).powi(2) + 0.0001 * n).await.unwrap();
    }
    study
}

async fn analysis(server: &Running, study: i64, query: &str) -> Json {
    let answer = server.get(&format!("/v1/studies/{study}/analysis?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json.get("why_not").is_none(), "{answer:?}");
    answer.json["answer"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_answers_of_what_was_measured() {
    let server = start().await;
    let id = measured(&server, "looked-at", 40).await;
    let importance = analysis(&server, id, "kind=importance").await;
    assert_eq!(importance[0]["parameter"], "x", "{importance}");
    let shares = analysis(&server, id, "kind=interactions").await;
    assert_eq!(shares["parameters"][0]["parameter"], "x", "{shares}");
    assert!(shares["parameters"][0]["single"].as_f64().unwrap() > 0.8, "{shares}");
    assert_eq!(shares["pairs"].as_array().unwrap().len(), 1);
    let five = analysis(&server, id, "kind=attribution").await;
    assert_eq!(five.as_array().unwrap().len(), 5);
    let named = analysis(&server, id, "kind=attribution&trials=7,3").await;
    assert_eq!((named[0]["trial"].as_u64(), named[1]["trial"].as_u64()), (Some(7), Some(3)));
    let effects: f64 = named[0]["contributions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|contribution| contribution["effect"].as_f64().unwrap())
        .sum();
    let (base, predicted) = (&named[0]["base"], &named[0]["predicted"]);
    assert!((base.as_f64().unwrap() + effects - predicted.as_f64().unwrap()).abs() < 1e-9, "{named}");
    let quality = analysis(&server, id, "kind=quality").await;
    assert!(quality["rank_correlation"].as_f64().unwrap() > 0.9, "{quality}");
    let forecast = analysis(&server, id, "kind=forecast&more=100").await;
    assert_eq!(forecast["more"], 100);
    assert!(forecast["low"].as_f64().unwrap() <= forecast["high"].as_f64().unwrap(), "{forecast}");
    assert_eq!(analysis(&server, id, "kind=forecast").await["more"], 40);
    let convergence = analysis(&server, id, "kind=convergence").await;
    let best = convergence[39]["best"].as_f64().unwrap();
    let front = analysis(&server, id, "kind=front").await;
    assert_eq!(front[0]["values"], json!([best]));
    let history = analysis(&server, id, "kind=hypervolume").await;
    assert_eq!(history["steps"].as_array().unwrap().len(), 40);
    assert_eq!(history["steps"][39]["front"], 1);
    let predicted = analysis(&server, id, "kind=best").await;
    assert!((predicted["point"]["x"].as_f64().unwrap() - 0.3).abs() < 0.1, "{predicted}");

    let message =
        v1::AnalyzeStudyRequest { name: "looked-at".into(), kind: "quality".into(), ..Default::default() };
    let document = server.studies().analyze_study(server.message(message)).await.unwrap().into_inner();
    let document: Json = serde_json::from_str(&document.json).unwrap();
    assert_eq!(document["answer"], quality);
    assert_eq!((&document["metric"], &document["kind"]), (&json!("auc"), &json!("quality")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn little_is_said_to_be_little_and_nonsense_is_refused() {
    let server = start().await;
    let id = measured(&server, "short", 3).await;
    for kind in ["importance", "interactions", "attribution", "quality", "forecast", "best"] {
        let answer = server.get(&format!("/v1/studies/{id}/analysis?kind={kind}")).await;
        assert_eq!((answer.status, &answer.json["answer"]), (200, &Json::Null), "{answer:?}");
        assert!(answer.json["why_not"].as_str().unwrap().contains("too few"), "{answer:?}");
    }
    let empty = server.create(spec("empty", json!({}))).await.id;
    let answer = server.get(&format!("/v1/studies/{empty}/analysis?kind=convergence")).await;
    assert_eq!((&answer.json["answer"], answer.json.get("rung")), (&Json::Null, Some(&Json::Null)));
    let many = (1..=21).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    for query in [
        "kind=magic",
        "kind=best&objective=1",
        "kind=attribution&trials=one",
        "kind=forecast&more=1000001",
        &format!("kind=attribution&trials={many}"),
    ] {
        let answer = server.get(&format!("/v1/studies/{id}/analysis?{query}")).await;
        refused_by_rest(ErrorCode::SpecInvalid, &answer);
    }
    let message = v1::AnalyzeStudyRequest { id, kind: "magic".into(), ..Default::default() };
    let grpc = server.studies().analyze_study(server.message(message)).await;
    refused(
        ErrorCode::SpecInvalid,
        grpc,
        &server.get(&format!("/v1/studies/{id}/analysis?kind=magic")).await,
    );
    refused_by_rest(ErrorCode::NotFound, &server.get("/v1/studies/999/analysis?kind=best").await);
    server.stop().await;
}
