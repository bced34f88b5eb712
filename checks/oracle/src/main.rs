//! The command: random sequences until so many operations have been compared.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod command;

fn main() -> std::process::ExitCode {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    return command::main();
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    {
        eprintln!("oracle: SKIPPED: it needs Linux on x86-64");
        std::process::ExitCode::SUCCESS
    }
}
