//! Rules for texts and words.

use super::fields::Fields;
use super::rules::{Rule, text_of};
use schemars::SchemaGenerator;
use serde::Serialize;
use serde_json::{Value, json};

/// A text, of any length unless it is limited.
pub(crate) fn text() -> Text {
    Text::default()
}

/// One word of letters, digits and a few signs.
pub(crate) fn word(charset: Charset) -> Text {
    Text { charset: Some(charset), ..Text::default() }
}

/// The allowed characters of a text, and their number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charset {
    /// ASCII, as in a regular expression: `a-z` is a range, a `-` at the end itself.
    set: &'static str,
    /// At most so many.
    max: usize,
}

/// A type of agents, a label, or the name of a machine.
pub(crate) const LABEL: Charset = Charset { set: "A-Za-z0-9_.-", max: 64 };
/// A type of agents in a configuration.
pub(crate) const AGENT_TYPE: Charset = Charset { set: "A-Za-z0-9_-", max: 64 };

impl Charset {
    /// The characters and ranges of the set.
    fn parts(self) -> impl Iterator<Item = &'static str> {
        let mut rest = self.set;
        std::iter::from_fn(move || {
            let is_range = rest.len() > 2 && rest.as_bytes().get(1) == Some(&b'-');
            let (part, others) = rest.split_at_checked(if is_range { 3 } else { 1 })?;
            rest = others;
            Some(part)
        })
    }

    /// The fault of a text, if it has one.
    pub(crate) fn fault(self, text: &str) -> Option<String> {
        let holds = |byte: u8| {
            self.parts().any(|part| match *part.as_bytes() {
                [from, _, to] => (from..=to).contains(&byte),
                [one] => one == byte,
                _ => false,
            })
        };
        let fits = (1..=self.max).contains(&text.len()) && text.bytes().all(holds);
        let parts = || self.parts().collect::<Vec<_>>().join(", ");
        (!fits).then(|| format!("must be 1 to {} of {}", self.max, parts()))
    }

    /// The regular expression that says the same.
    fn pattern(self) -> String {
        format!("^[{}]{{1,{}}}$", self.set, self.max)
    }
}

/// See [`text`] and [`word`].
#[derive(Default)]
pub(crate) struct Text {
    charset: Option<Charset>,
    max_bytes: Option<usize>,
    max_large: Option<usize>,
    chars: Option<(usize, usize)>,
    one_line: bool,
    not_blank: bool,
    pattern: Option<&'static str>,
    about: Option<&'static str>,
}

impl Text {
    /// It has at most `max` bytes.
    pub(crate) fn bytes(self, max: usize) -> Self {
        Self { max_bytes: Some(max), ..self }
    }

    /// The same for a large text, which is refused with an error of its own.
    pub(crate) fn large(self, max: usize) -> Self {
        Self { max_large: Some(max), ..self }
    }

    /// It has from `min` to `max` characters.
    pub(crate) fn chars(self, min: usize, max: usize) -> Self {
        Self { chars: Some((min, max)), ..self }
    }

    /// It has no control character, and so is one line.
    pub(crate) fn one_line(self) -> Self {
        Self { one_line: true, ..self }
    }

    /// It has a character that is neither blank nor hidden.
    pub(crate) fn not_blank(self) -> Self {
        Self { not_blank: true, ..self }
    }

    /// The text is checked elsewhere; the schema has this pattern and this description.
    pub(crate) fn documented_as(self, pattern: &'static str, about: &'static str) -> Self {
        Self { pattern: Some(pattern), about: Some(about), ..self }
    }

    fn fault(&self, text: &str) -> Option<String> {
        if let Some(charset) = self.charset {
            return charset.fault(text);
        }
        if let Some(max) = self.max_bytes.filter(|max| text.len() > *max) {
            return Some(format!("is longer than {max} bytes"));
        }
        let (min, max) = self.chars.unwrap_or((0, usize::MAX));
        let fits = (min..=max).contains(&text.chars().count());
        if !fits || (self.one_line && text.chars().any(char::is_control)) {
            let control = if self.one_line { ", none of them a control character" } else { "" };
            return Some(format!("must be {min} to {max} characters{control}"));
        }
        let is_blank = self.not_blank && crate::text::is_blank(text);
        is_blank.then(|| "must not be blank".to_owned())
    }
}

impl Rule for Text {
    type Value = String;

    fn read(&self, value: Value, name: &str, fields: &mut Fields) -> Option<String> {
        let text = text_of(value, name, fields)?;
        if let Some(max) = self.max_large.filter(|max| text.len() > *max) {
            fields.too_large(name, text.len(), max);
            return None;
        }
        match self.fault(&text) {
            Some(fault) => {
                fields.fault(name, fault);
                None
            }
            None => Some(text),
        }
    }

    fn written<'a>(&self, value: &'a String) -> impl Serialize + 'a {
        value
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Value {
        let mut schema = json!({ "type": "string" });
        let pattern = match self.charset {
            Some(charset) => Some(charset.pattern()),
            None if self.one_line => Some("^[^\\x00-\\x1f\\x7f-\\x9f]*$".to_owned()),
            None if self.not_blank => Some(crate::schema::patterns::SAYS_SOMETHING.to_owned()),
            None => self.pattern.map(str::to_owned),
        };
        let (min, max) = self.chars.unwrap_or_default();
        let bytes = self.max_bytes.or(self.max_large).unwrap_or_default();
        let not_empty = usize::from(self.not_blank);
        let limits = [
            ("description", self.about.map(Value::from)),
            ("pattern", pattern.map(Value::from)),
            ("minLength", Some(min.max(not_empty)).filter(|min| *min > 0).map(Value::from)),
            ("maxLength", Some(max.max(bytes)).filter(|max| *max > 0).map(Value::from)),
        ];
        if let Some(map) = schema.as_object_mut() {
            for (name, limit) in limits {
                map.extend(limit.map(|limit| (name.to_owned(), limit)));
            }
        }
        schema
    }
}

/// Bytes that an endpoint may have.
pub const ENDPOINT_MAX: usize = 2048;
/// The public URL of an endpoint, by its text: at least two labels, the last of letters,
/// and none that only means something inside a network.
const PUBLIC_URL: &str = "^https://([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.){1,5}\
     (?!(local|localhost|localdomain|internal|arpa)([:/?]|$))[a-z]{2,20}\
     (:([1-9][0-9]{0,3}|[1-5][0-9]{4}))?(/[A-Za-z0-9_./-]{0,1000})?(\\?[A-Za-z0-9_.=&-]{0,500})?$";

/// The URL of an endpoint; `multiclaude_hybrid_core::endpoint` checks the rest.
pub(crate) fn url() -> Text {
    text().bytes(ENDPOINT_MAX).documented_as(
        PUBLIC_URL,
        "A public `https` URL: no address, no user, no name of a local network, not the \
         coordinator itself. (`ALLOW_INSECURE` opens `http` and loopback on one machine.)",
    )
}
