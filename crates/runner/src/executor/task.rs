//! The text of a task in a place that takes one line.

use multiclaude_hybrid_client::protocol::text::{is_blank, is_hidden};

/// The most characters of a task's first line in an argument.
const LINE: usize = 200;

/// A task as an argument: its first line without control characters, and the path of the
/// whole task. It never starts with `-`.
pub fn task_argument(task: &str, file: &str) -> String {
    format!("{} (the whole task is in the file {file})", first_line(task))
}

/// The first line of a task that is not blank, without hidden characters.
pub fn first_line(task: &str) -> String {
    let line = task.lines().map(str::trim).find(|line| !is_blank(line)).unwrap_or_default();
    let line: String =
        line.chars().filter(|c| !is_hidden(*c) && !c.is_control()).take(LINE).collect();
    if line.starts_with('-') { format!("Task: {line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_argument_of_any_task_is_one_clean_line_and_no_flag(task in "\\PC*|[\u{0}-\u{7f}]*") {
            let argument = task_argument(&task, "/w/task.md");
            prop_assert!(!argument.starts_with('-'));
            prop_assert!(!argument.chars().any(char::is_control));
            prop_assert!(argument.chars().count() < 300);
        }
    }
}
