//! The program: flags in, a reactor that runs for ever.
//!
//! Left out on purpose: everything that a host program would want, too; that is in the library.

mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}
