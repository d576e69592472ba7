//! `tw`, the command line of Tailwater. The commands are in `cli`, one file each; everything printed goes through
//! `output`.

mod cli;
#[cfg(feature = "sql")]
mod demo;
mod output;

fn main() -> std::process::ExitCode {
    cli::main()
}
