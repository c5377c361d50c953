//! `curbside cases`: writes made-up cases with their answers, for training a model and for looking at them.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{
    error::Result,
    eval::{self, Export, Maker},
    prompt::contract,
};

#[derive(Args)]
pub struct Options {
    /// Folder the shards are written to, each a .jsonl and a .u8 file.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Cases of one seed are never those of another.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..eval::SEEDS))]
    seed: u64,
    /// How many cases are written.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    count: u64,
    /// Threads that draw.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    threads: usize,
    /// Cases of one shard.
    #[arg(long, value_name = "COUNT", default_value_t = 4096)]
    shard: u64,
    /// Shards that may wait in the folder for a reader to delete them; without it any number.
    #[arg(long, value_name = "COUNT")]
    keep: Option<usize>,
    /// Room of a prompt in characters.
    #[arg(long, value_name = "COUNT", default_value_t = contract::MAX_CHARACTERS)]
    room: usize,
    /// Draw cases that training never sees.
    #[arg(long)]
    held_out: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let Options { seed, count, threads, shard, room, held_out, .. } = *options;
    let keep = options.keep.unwrap_or(usize::MAX);
    let export = Export { out: options.out.clone(), seed, count, threads, shard, keep, held_out, room };
    eval::export(&Maker::new()?, &export)?;
    Ok(ExitCode::SUCCESS)
}
