//! Examples: at the end of a command's help, and in its manual page.

const MOST: usize = 4;

/// The examples of a command, without the program's name. One with subcommands has theirs,
/// too.
pub(super) fn examples_of(path: &str) -> Vec<&'static str> {
    let is_of = |line: &&str| {
        let rest = line.strip_prefix(path);
        rest.is_some_and(|rest| !path.is_empty() && (rest.is_empty() || rest.starts_with(' ')))
    };
    EXAMPLES.lines().filter(is_of).take(MOST).collect()
}

/// Lines that work as they are, but for the names in them.
pub(super) const EXAMPLES: &str = r#"login --url https://api.example.com/v1
login --url http://127.0.0.1:8787/v1 < token
logout
logout --all
whoami
whoami -R acme/app --json
config app
config app --hybrid=true --node=dan
config app --remote-agents=merge-queue,worker
work --remote "Fix the flaky test"
work --remote --wait -R app "Update the changelog"
work --remote --branch main --push-to fix --label gpu "Fix the build"
list
agents -R acme/app
agents show merge-queue
agents list --type worker
agents list --status active --json
agents register desk --type workspace
agents register desk --type workspace --endpoint https://desk.example.com/hook
agents remove desk
agents test merge-queue
agents rotate-secret merge-queue
send merge-queue "Pull request 12 is ready"
send fox-ann - < report.txt
send --wait=acked --wait-timeout 10m merge-queue "May I deploy?"
inbox
inbox desk --follow
inbox desk --peek --json
reply msg_01a216adbbf7 "On it."
reply msg_01a216adbbf7 - < answer.txt
ack msg_01a216adbbf77f7e9f0eda5732561b9b_desk
ack --all desk
receipt msg_01a216adbbf77f7e9f0eda5732561b9b_desk
workers
workers list
workers list --status pending
workers list --status in_progress
workers show spn_01a216adbbf77f7e9f0eda5732561b9b
workers wait spn_01a216adbbf77f7e9f0eda5732561b9b
workers logs spn_01a216adbbf77f7e9f0eda5732561b9b
workers cancel spn_01a216adbbf77f7e9f0eda5732561b9b
workers cancel --all-pending -R app
tokens list
tokens create --owner ann --repo acme/app
tokens create --kind service --owner ci --repo 'acme/*'
tokens list --json
tokens revoke tok_01a216adbbf77f7e9f0eda5732561b9b
audit
audit -n 500 --json
keys list
keys trust fox-ann
keys forget fox-ann
keys list -R app
invite ann --repo acme/app
join
join --node desk --no-bridge
leave app
leave app --force
prompt app
prompt app >> .multiclaude/REVIEWER.md
status
status --json
bridge install
bridge status
bridge run
bridge run --serve merge-queue
bridge run --listen 0.0.0.0:9000 --public-url https://desk.example.com
bridge install --serve merge-queue
bridge uninstall
bridge status --json
bridge held
bridge held msg_01a216adbbf77f7e9f0eda5732561b9b_fox-ann
bridge accept msg_01a216adbbf77f7e9f0eda5732561b9b_fox-ann
bridge accept ann
bridge accept --revoke ann
bridge refuse msg_01a216adbbf7 --reason "Not our repo"
bridge logs
bridge logs --follow
runner run acme/app
runner status
runner pause
runner resume
runner logs --follow
runner run acme/app --executor container --image worker --secret anthropic=key
runner run acme/app --clone -- my-agent --task {task_file}
mcp install
mcp install --yes
mcp --agent desk --repo acme/app
mcp uninstall
mcp call list_agents
mcp call send_message '{"to": "fox", "body": "done"}'
host acme/app --serve merge-queue
stand-down merge-queue
stand-up merge-queue
doctor
doctor -R app
open
open -R app
version
version --json
shim install
shim uninstall
completions bash > ~/.local/share/bash-completion/completions/multiclaude-hybrid
completions fish > ~/.config/fish/completions/multiclaude-hybrid.fish
man ~/.local/share/man/man1"#;
