//! Values of flags of which there are only a few: shells complete them, and a typo gets a
//! suggestion.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// One of `texts`, as `parse` reads it.
pub fn one_of<T: Clone + Send + Sync + 'static>(
    texts: &'static [&'static str],
    parse: fn(&str) -> Result<T, String>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(texts).try_map(move |text| parse(&text))
}
