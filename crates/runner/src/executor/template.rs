//! A command with placeholders, such as `my-agent --file {task_file}`. Each argument
//! stays one argument for any value. A brace that does not begin a name of lower case
//! letters is a plain brace: `${HOME}` and `x{2}` stay as they are.

use std::collections::BTreeMap;

/// A program and its arguments, with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Vec<Part>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

/// Why a command is not a valid template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no program.
    #[error("the command is empty")]
    Empty,
    /// There is no such placeholder.
    #[error("there is no placeholder {{{name}}}; there are {known}, and {{{{ is a brace")]
    Unknown {
        /// The unknown name.
        name: String,
        /// All placeholders.
        known: String,
    },
}

/// The names of all placeholders.
const NAMES: [&str; 10] = [
    "task",
    "task_file",
    "summary_file",
    "name",
    "id",
    "repo",
    "branch",
    "push_to",
    "work",
    "socket",
];

impl Template {
    /// Reads a command.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn parse(command: &[String]) -> Result<Self, TemplateError> {
        if command.first().is_none_or(String::is_empty) {
            return Err(TemplateError::Empty);
        }
        command.iter().map(|argument| parts(argument)).collect::<Result<_, _>>().map(Self)
    }

    /// The command with these values for its placeholders.
    pub fn fill(&self, values: &BTreeMap<&str, String>) -> Vec<String> {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Name(name) => values.get(name.as_str()).cloned().unwrap_or_default(),
        };
        self.0.iter().map(|parts| parts.iter().map(part).collect()).collect()
    }
}

fn parts(argument: &str) -> Result<Vec<Part>, TemplateError> {
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), argument);
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            text.push('{');
            rest = after;
            continue;
        }
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        let Some((name, after)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            text.push('{');
            rest = after;
            continue;
        };
        if !NAMES.contains(&name) {
            let known = NAMES.map(|name| format!("{{{name}}}")).join(" ");
            return Err(TemplateError::Unknown { name: name.to_owned(), known });
        }
        parts.push(Part::Text(std::mem::take(&mut text)));
        parts.push(Part::Name(name.to_owned()));
        rest = after;
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|&argument| argument.to_owned()).collect()
    }

    #[test]
    fn each_argument_stays_one_argument_for_any_value() {
        let template =
            Template::parse(&command(&["run", "--task={task}", "{{x}", "a{name}b"])).unwrap();
        let values =
            BTreeMap::from([("task", "a b; rm 'x' {name}".to_owned()), ("name", "fox".into())]);
        let filled = template.fill(&values);
        assert_eq!(filled, ["run", "--task=a b; rm 'x' {name}", "{x}", "afoxb"]);
    }

    #[test]
    fn a_wrong_placeholder_is_named() {
        let error =
            |argument| Template::parse(&command(&["run", argument])).unwrap_err().to_string();
        assert!(error("{taks}").contains("no placeholder {taks}; there are {task}"));
        let shell = command(&["sh", "-c", "f() { echo ${HOME} {30} {a b} {task; }"]);
        assert_eq!(Template::parse(&shell).unwrap().fill(&BTreeMap::new()), shell);
        assert_eq!(Template::parse(&[]), Err(TemplateError::Empty));
    }
}
