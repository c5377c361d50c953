//! `curbside probe`: whether the server on this machine lives or is ready, for supervisors that can only start a command.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use url::Url;

use crate::{
    config::{self, Config, Flag},
    egress::{Base, Egress, Get, join},
    error::{Error, Result},
};

const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: usize = 64 << 10;

#[derive(Args)]
pub struct Options {
    /// What is asked: whether the process lives, or whether it can answer.
    #[arg(value_name = "WHAT", default_value = "readyz")]
    what: What,
    /// Configuration file (TOML) the server runs with. Without it CURBSIDE_CONFIG may name one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port the server listens on; wins over the configuration's `listen`.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Livez,
    Readyz,
}

/// What curbside says of itself, of which this is enough to know it by.
#[derive(Deserialize)]
struct Condition {
    status: String,
}

/// Prints what the server answers. Success is its 200, anything else 1, also somebody else's 200.
pub fn run(options: &Options) -> Result<ExitCode> {
    let listen = options.listen.clone().map(|value| Flag { name: "--listen", key: "listen", value });
    let config = Config::load(options.config.as_deref(), &config::variables(), listen.as_slice())?;
    let base =
        Url::parse(&format!("http://{}", config.listen)).map_err(|e| Error::fault("listen gives no URL").because(e))?;
    let (path, good) = match options.what {
        What::Livez => ("livez", "live"),
        What::Readyz => ("readyz", "ready"),
    };
    let (url, allowed) = (join(&base, path)?, [Base::from(base)]);
    super::block_on(async {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let (accept, token, max_bytes) = ("application/json", None, LARGEST_ANSWER);
        let ask = Get { url: &url, allowed: &allowed, accept, token, max_bytes, deadline };
        let reply = Egress::new(LARGEST_ANSWER)?
            .get(ask)
            .await
            .map_err(|e| Error::fault(format!("no answer from {url}: {e}")))?;
        super::say(&format!("{}\n", String::from_utf8_lossy(&reply.body)));
        if reply.status != 200 {
            return Ok(ExitCode::FAILURE);
        }
        let known = serde_json::from_slice::<Condition>(&reply.body).is_ok_and(|condition| condition.status == good);
        let stranger = || Error::fault(format!("what answers at {url} is not curbside"));
        known.then_some(ExitCode::SUCCESS).ok_or_else(stranger)
    })
}
