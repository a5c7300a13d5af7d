//! Tunes a function: `boxwood serve`, then `cargo run -p boxwood-client --example tune`.

use boxwood_client::{Client, ClientOptions, Error, Evaluation, Space, Study, StudyBuilder, Trial, Verdict};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let study = tune(ClientOptions::from_env()).await?;
    if let Some(best) = study.best().await? {
        println!("best of {}: {:?} at {:?}", study.name(), best.value, best.point);
    }
    Ok(())
}

pub(crate) async fn tune(options: ClientOptions) -> Result<Study, Error> {
    let client = Client::connect(options).await?;
    let space = Space::new().float("x", -5.0, 5.0).integer("n", 1, 10);
    let study = StudyBuilder::new("parabola", space).maximize("auc").rungs("steps", [1, 3]).budget_trials(4);
    let study = client.create_or_open_study(&study).await?;
    study.optimize(100, train).await?;
    Ok(study)
}

/// A "training" whose quality grows with its steps.
async fn train(trial: &mut Trial) -> Result<Evaluation, Error> {
    let (x, n) = (trial.float("x")?, trial.integer("n")?);
    let mut quality = 0.0;
    for step in trial.from() + 1..=trial.to() {
        quality = -(x - 1.0).powi(2) - (n as f64 - 3.0).powi(2) - 1.0 / step as f64;
        if trial.report(step, [("auc", quality)]).await? != Verdict::Continue {
            return Ok(Evaluation::Stopped);
        }
    }
    Ok([("auc", quality)].into())
}
