//! The program. Everything is in the library; see [`curbside::cli`].

fn main() -> std::process::ExitCode {
    curbside::cli::run()
}
