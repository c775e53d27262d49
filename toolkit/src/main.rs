//! The command `percytech`.

fn main() -> std::process::ExitCode {
    percytech_toolkit::cli::run()
}
