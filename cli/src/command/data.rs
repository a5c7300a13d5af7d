//! `boxwood data ...`

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::args::DataCommand;
use crate::output;

pub(crate) fn run(command: DataCommand, as_json: bool) -> Result<()> {
    let DataCommand::Get { name, folder } = command;
    if name != "movielens-100k" {
        bail!("there is no data set `{name}`; the data sets are: movielens-100k");
    }
    let path = boxwood_trainers::get_movielens_100k(&folder).context("get movielens-100k")?;
    if as_json {
        return output::json(&json!({"name": name, "path": path}));
    }
    println!("{name} is in {}", path.display());
    println!("its terms: use for research, cite GroupLens (Harper and Konstan, 2015), do not redistribute");
    Ok(())
}
