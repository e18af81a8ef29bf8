//! The binary; what it does depends on the name it was called by.

use std::process::ExitCode;

fn main() -> ExitCode {
    multiclaude_hybrid::main()
}
