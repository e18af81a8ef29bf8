//! Prints the OpenAPI document of the Coordination API.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let document = multiclaude_hybrid_openapi::document();
    writeln!(std::io::stdout().lock(), "{document:#}")
}
