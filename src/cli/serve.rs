//! `curbside serve`: the server, until it is told to stop.

use std::{future::Future, path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use url::Url;

use crate::{
    app::App,
    config::{self, Config, Flag},
    engine::Health,
    error::{Error, Result},
    http,
};

#[derive(Args)]
pub struct Options {
    /// Configuration file (TOML). Without it CURBSIDE_CONFIG may name one; without either the defaults hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on, loopback only; wins over the configuration's `listen`.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Folder of the model's checkpoint; wins over the configuration's `engine.model`.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Database file; wins over the configuration's `store.path`.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Print the default configuration with every key explained, and exit.
    #[arg(long)]
    print_config: bool,
}

impl Options {
    pub fn flags(&self) -> Vec<Flag> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
        let given = [
            ("--listen", "listen", self.listen.clone()),
            ("--model", "engine.model", path(&self.model)),
            ("--store", "store.path", path(&self.store)),
        ];
        given.into_iter().filter_map(|(name, key, value)| Some(Flag { name, key, value: value? })).collect()
    }
}

pub fn run(options: &Options) -> Result<ExitCode> {
    if options.print_config {
        super::say(Config::documented());
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::load(options.config.as_deref(), &config::variables(), &options.flags())?;
    super::with_variables(config.engine.environment())?;
    http::log::init(LevelFilter::INFO)?;
    super::block_on(async {
        let server = Server::start(&config, "choose another address with `listen` or --listen", None).await?;
        tracing::info!(address = %config.listen, "serving");
        if config.intended_use.is_some() && config.engine.model.is_none() {
            tracing::warn!("engine.model is not set: services that ask a model will answer 503");
        }
        if config.intended_use.is_none() {
            tracing::warn!("intended_use is not set: services that ask a model are not offered");
        }
        let code = server.until_stopped(super::stop_asked()).await?;
        tracing::info!("stopped");
        Ok(code)
    })
}

/// For the supervisor: a new process may serve again, this one does not.
const MODEL_GIVEN_UP: u8 = 70;

/// The running server. The model may still be loading: see [`Server::health`].
pub struct Server {
    /// Where it is reached.
    pub base: Url,
    app: Arc<App>,
    stop: CancellationToken,
    serving: JoinHandle<Result<()>>,
}

impl Server {
    /// The one place where the application is built and served; `advice` says what to do where the port is taken.
    pub async fn start(config: &Config, advice: &str, site: Option<http::Site>) -> Result<Server> {
        let bound = Server::bind(config, advice)?;
        Server::serve(config, bound, App::build(config.settings()?).await?, site)
    }

    fn bind(config: &Config, advice: &str) -> Result<http::server::Server> {
        let bound = http::server::bind(config.listen, &config.http);
        bound.map_err(|e| super::unbound(e, &config.listen.to_string(), advice))
    }

    fn serve(config: &Config, bound: http::server::Server, app: App, site: Option<http::Site>) -> Result<Server> {
        let app = Arc::new(app);
        let stop = CancellationToken::new();
        let routes = http::router(app.clone(), &config.http, site);
        let serving = tokio::spawn(bound.serve(routes, stop.clone().cancelled_owned()));
        Ok(Server { base: config.public_base()?, app, stop, serving })
    }

    pub fn health(&self) -> Health {
        self.app.engine.health()
    }

    /// Serves until `asked` resolves or the model is given up, then stops cleanly. The exit code tells which it was.
    async fn until_stopped(self, asked: impl Future<Output = Result<()>>) -> Result<ExitCode> {
        let (engine, mut code) = (self.app.engine.clone(), ExitCode::SUCCESS);
        let ended = async {
            tokio::select! {
                asked = asked => asked?,
                () = engine.given_up() => code = ExitCode::from(MODEL_GIVEN_UP),
            }
            Ok(())
        };
        self.until(ended).await?;
        Ok(code)
    }

    /// Serves until `asked` resolves, then stops cleanly. Fails at once where serving fails.
    pub async fn until(mut self, asked: impl Future<Output = Result<()>>) -> Result<()> {
        let ended = tokio::select! {
            ended = &mut self.serving => ended,
            asked = asked => {
                asked?;
                self.stop.cancel();
                (&mut self.serving).await
            }
        };
        self.app.store.close().await;
        ended.unwrap_or_else(|e| Err(Error::fault("the server broke off").because(e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, EngineError, Priority, Prompt, Step};

    #[tokio::test]
    async fn stopping_closes_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
        config.store.path = folder.path().join("curbside.db");
        let server = Server::start(&config, "", None).await.unwrap();
        let app = server.app.clone();
        assert!(app.store.check().await.is_ok() && folder.path().join("curbside.db-wal").exists());
        server.until(std::future::ready(Ok(()))).await.unwrap();
        assert!(app.store.check().await.is_err() && !folder.path().join("curbside.db-wal").exists());
    }

    #[tokio::test]
    async fn a_model_that_is_given_up_ends_the_server_for_its_supervisor() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
        config.store.path = folder.path().join("curbside.db");
        let engine = Engine::scripted(crate::engine::ModelInfo::scripted(), vec![Step::OutOfMemory]);
        let app = App::with(config.settings().unwrap(), engine.clone(), Arc::new(chrono::Utc::now)).await.unwrap();
        let server = Server::serve(&config, Server::bind(&config, "").unwrap(), app, None).unwrap();
        let asked = async {
            let prompt = Prompt { max_new_tokens: 1, ..Prompt::default() };
            let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
            let answer = engine.generate(engine.admit(Priority::Clinician).unwrap(), prompt, deadline).await;
            assert!(matches!(answer, Err(EngineError::ModelFault(_))));
            std::future::pending().await
        };
        assert_eq!(server.until_stopped(asked).await.unwrap(), ExitCode::from(70));
    }
}
