//! The program `loquat`; [`program`] has all of it.
//!
//! Left out on purpose: everything that an embedding host needs as well; that is in the library.

mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}
