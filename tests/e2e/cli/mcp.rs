//! Claude Code's settings: our MCP server in and out, and what `doctor` says of it.

use super::{dans, snapshot};
use std::fs;

const SETTINGS: &str = "{\n  \"numStartups\": 12,\n  \"mcpServers\": {\n    \"other\": { \"command\": \"x\" }\n  },\n  \"odd\":   [1,2]\n}\n";

#[tokio::test]
async fn the_mcp_server_comes_in_and_goes_out_and_the_rest_of_the_file_stays() {
    let (mut dan, _) = dans().await;
    dan.write(".claude.json", SETTINGS);
    // No person can be asked.
    dan.run(&["mcp", "install"]);
    dan.run(&["mcp", "install", "--yes"]);
    dan.run(&["mcp", "install", "--yes"]);
    dan.run(&["mcp", "uninstall"]);
    assert_eq!(fs::read_to_string(dan.path(".claude.json")).unwrap(), SETTINGS);
    // An entry with other arguments is corrected; a foreign one is left alone.
    let mut ours = serde_json::json!({ "mcpServers": { "multiclaude-hybrid": {
        "type": "stdio", "command": dan.path("bin/multiclaude-hybrid"), "args": ["mcp", "--old"],
    } } });
    dan.write(".claude.json", &format!("{ours:#}"));
    dan.run(&["mcp", "install", "--yes"]);
    dan.run(&["mcp", "install", "--yes"]);
    ours["mcpServers"]["multiclaude-hybrid"] =
        serde_json::json!({ "command": "npx", "args": ["theirs"] });
    dan.write(".claude.json", &ours.to_string());
    dan.run(&["mcp", "install", "--yes"]);
    dan.run(&["mcp", "uninstall"]);
    assert_eq!(fs::read_to_string(dan.path(".claude.json")).unwrap(), ours.to_string());
    dan.write(".claude.json", "{\"broken\": ");
    dan.run(&["mcp", "install", "--yes"]);
    assert_eq!(fs::read_to_string(dan.path(".claude.json")).unwrap(), "{\"broken\": ");
    snapshot("mcp", &dan);
}
