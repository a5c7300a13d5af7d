//! `boxwood token ...`

use anyhow::Result;
use boxwood_front::{Options, TokenRecord, role_name};
use serde_json::{Value, json};

use crate::args::TokenCommand;
use crate::command::serve::config;
use crate::output;

pub(crate) async fn run(command: TokenCommand, project: &str, as_json: bool) -> Result<()> {
    match command {
        TokenCommand::Create { database, name, role, days } => {
            let config = config(&database, Options::default())?;
            let project = Some(project).filter(|project| !project.is_empty());
            let seconds = days.map(|days| days * 86_400.0);
            let issued = boxwood_front::create_token(&config, &name, &role, project, seconds).await?;
            if as_json {
                return output::json(&json!({"secret": issued.secret, "token": document(&issued.token)}));
            }
            println!("{}", issued.secret);
            eprintln!(
                "token {} ({role}); the secret is shown this once, keep it and pass it as BOXWOOD_TOKEN",
                issued.token.id
            );
        }
        TokenCommand::List(database) => {
            let tokens = boxwood_front::tokens(&config(&database, Options::default())?).await?;
            if as_json {
                return output::json(&tokens.iter().map(document).collect::<Vec<_>>());
            }
            let mut table = output::table(["id", "starts with", "role", "project", "name"]);
            for token in &tokens {
                table.add_row([
                    token.id.to_string(),
                    token.prefix.clone(),
                    role_name(token.role).to_owned(),
                    token.project.map_or_else(|| "every".into(), |project| project.to_string()),
                    token.name.clone(),
                ]);
            }
            println!("{}", output::lines(&table));
        }
        TokenCommand::Revoke { database, id } => {
            boxwood_front::revoke_token(&config(&database, Options::default())?, id).await?;
            if as_json {
                return output::json(&json!({"revoked": id}));
            }
            println!("token {id} is revoked; servers refuse it within seconds");
        }
    }
    Ok(())
}

fn document(token: &TokenRecord) -> Value {
    json!({"id": token.id, "starts_with": token.prefix, "role": role_name(token.role), "project": token.project,
        "name": token.name, "created_at": token.created_at.0 as f64 / 1e6,
        "expires_at": token.expires_at.map(|at| at.0 as f64 / 1e6)})
}
