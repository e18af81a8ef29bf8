//! Agents that are sessions of Claude Code, or of the stand-in for it, in tmux.

use super::Site;
use crate::{Claude, Machine, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

impl Site {
    /// One whose agents are sessions of the stand-in for Claude Code, in tmux.
    /// `environment` sets it up; `mcp` says whether it starts our MCP server.
    pub async fn with_claude(
        world: &World,
        token: &str,
        node: &str,
        environment: &[(&str, &str)],
        mcp: bool,
    ) -> Self {
        // Enter works at once, except where a test is about that.
        let mut all = vec![("CLAUDE_STAND_IN_DEAF_MS", "0")];
        all.extend(environment);
        let site = Self::with_program(world, token, node, &Claude::binary(), &all, mcp).await;
        for agent in ["fox", "default"] {
            site.claude(agent).runs().await;
        }
        site
    }

    /// The same with any program as `claude`, which may not run yet.
    pub async fn with_program(
        world: &World,
        token: &str,
        node: &str,
        claude: &Path,
        environment: &[(&str, &str)],
        mcp: bool,
    ) -> Self {
        let mut machine = Machine::new();
        std::os::unix::fs::symlink(claude, machine.path("bin/claude")).unwrap();
        for (name, value) in environment {
            machine.set(name, value);
        }
        let ours = json!({
            "type": "stdio", "command": machine.path("bin/multiclaude-hybrid"), "args": ["mcp"],
        });
        let servers = if mcp { json!({ "multiclaude-hybrid": ours }) } else { json!({}) };
        // The home, too: older versions know no trust of a repo's worktrees.
        let trusted = [".multiclaude/repos/app", ""].map(|dir| {
            let path = machine.path(dir).display().to_string();
            (path.trim_end_matches('/').to_owned(), json!({ "hasTrustDialogAccepted": true }))
        });
        let projects: serde_json::Map<_, _> = trusted.into_iter().collect();
        // The real program asks this at its first start.
        let key = environment.iter().find(|(name, _)| *name == "ANTHROPIC_API_KEY");
        let approved: Vec<_> = key.iter().map(|(_, key)| &key[key.len() - 20..]).collect();
        let settings = json!({
            "mcpServers": servers, "projects": projects, "hasCompletedOnboarding": true, "theme": "dark",
            "bypassPermissionsModeAccepted": true,
            "customApiKeyResponses": { "approved": approved, "rejected": [] },
        });
        machine.write(".claude.json", &settings.to_string());
        Self::with(machine, world, token, node, "app", true)
    }

    /// How often each message is taken, as the transcripts show it.
    pub fn taken(&self) -> BTreeMap<String, usize> {
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        let dirs =
            fs::read_dir(self.machine.path(".claude/projects")).into_iter().flatten().flatten();
        let files = dirs.flat_map(|dir| fs::read_dir(dir.path()).into_iter().flatten().flatten());
        for file in files.filter(|file| file.path().is_file()) {
            let text = fs::read_to_string(file.path()).unwrap_or_default();
            for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
                let prompt = match line["type"].as_str() {
                    Some("user") => &line["message"]["content"],
                    Some("attachment") => &line["attachment"]["prompt"],
                    _ => continue,
                };
                let heads = prompt.as_str().unwrap_or_default().lines();
                for (id, _) in heads.filter_map(|line| line.strip_prefix('[')?.split_once(" from "))
                {
                    *taken.entry(id.to_owned()).or_default() += 1;
                }
            }
        }
        taken
    }

    pub fn claude(&self, agent: &str) -> Claude {
        Claude::at(&self.machine.path(""), agent)
    }

    pub fn tmux(&self, args: &[&str]) -> Output {
        self.machine.tmux(args)
    }
}
