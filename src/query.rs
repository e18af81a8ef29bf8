//! Query parameters, checked one by one.

use crate::answer::{Handled, text};
use crate::context::Context;
use crate::error::ApiError;
use crate::extract::FromRequest;
use multiclaude_hybrid_protocol::ErrorCode;
use std::fmt::Display;
use std::ops::RangeInclusive;
use worker::Response;

/// Entries of a list unless asked otherwise, and at most.
const LIMIT: (u32, u32) = (100, 500);

pub struct Query(Vec<(String, String)>);

/// A whole number of digits only (Rust's own parser accepts `+5`); a number that is too
/// large becomes the largest one.
pub fn digits(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

impl FromRequest for Query {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        let url = context.url.split('#').next().unwrap_or_default();
        let query = url.split_once('?').map_or("", |(_, query)| query);
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

impl Query {
    /// A parameter; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A parameter through `parse`.
    pub fn parsed<T, E: Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        let value = self.get(name).map(parse).transpose();
        value.map_err(|error| ApiError::parameter(ErrorCode::InvalidParameter, name, error))
    }

    /// A whole number within `range`.
    pub fn number(&self, name: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, ApiError> {
        self.parsed(name, |text| {
            let number = digits(text).filter(|number| range.contains(number));
            number.ok_or_else(|| {
                format!("must be a whole number from {} to {}", range.start(), range.end())
            })
        })
    }

    /// `limit`: 100 unless asked otherwise, at most 500.
    pub fn limit(&self) -> Result<u32, ApiError> {
        let (usual, most) = LIMIT;
        Ok(self.number("limit", 1..=most)?.unwrap_or(usual))
    }

    /// The answer that is one page of a list: a JSON array, with a `Link` to the
    /// next one after the cursor, if there is one.
    pub fn paged(&self, context: &Context, page: (String, Option<String>)) -> Handled {
        let (items, next) = page;
        self.linked(context, text(200, items)?, next)
    }

    /// `page` with a `Link` to the next one, if there is one: the same URL with the cursor `next`.
    pub fn linked(&self, context: &Context, mut page: Response, next: Option<String>) -> Handled {
        let Some(next) = next else { return Ok(page) };
        let base = context.url.split(['?', '#']).next().unwrap_or_default();
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in self.0.iter().filter(|(key, _)| key != "after" && key != "wait") {
            query.append_pair(key, value);
        }
        query.append_pair("after", &next);
        page.headers_mut().set("link", &format!("<{base}?{}>; rel=\"next\"", query.finish()))?;
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn a_number_is_digits_and_a_large_one_the_largest() {
        for (text, number) in [("0", 0), ("007", 7), ("4294967296", u32::MAX)] {
            assert_eq!(digits(text), Some(number), "{text}");
        }
        for text in ["", "+5", "-1", "1.5", " 5", "5 ", "٣", "0x1"] {
            assert_eq!(digits(text), None, "{text:?}");
        }
    }
}
