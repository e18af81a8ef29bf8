//! The database D1: statements with a column `row` of JSON text.

use crate::error::ApiError;
use crate::facts::Facts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::rc::Rc;
use worker::wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement, Env};

/// The database; every statement is counted.
pub struct Db {
    d1: D1Database,
    facts: Rc<Facts>,
}

/// A value to bind: a text, or a whole number below 2^53, the limit of D1.
pub trait Bind {
    /// The value as D1 takes it.
    fn bind(self) -> JsValue;
}

macro_rules! bind_as {
    ($($type:ty: |$value:ident| $js:expr;)*) => {$(
        impl Bind for $type {
            fn bind(self) -> JsValue {
                let $value = self;
                $js
            }
        }
    )*};
}
bind_as! {
    &str: |text| JsValue::from_str(text);
    &String: |text| JsValue::from_str(text);
    i64: |number| JsValue::from_f64(number as f64);
    u32: |number| JsValue::from_f64(number.into());
    bool: |flag| JsValue::from_f64(flag.into());
}

impl<T: Bind> Bind for Option<T> {
    fn bind(self) -> JsValue {
        self.map_or(JsValue::NULL, T::bind)
    }
}

/// The values for `?1`, `?2`, …, in this order.
macro_rules! binds {
    ($($value:expr),* $(,)?) => {
        [$($crate::store::db::Bind::bind($value)),*]
    };
}
pub(super) use binds;

/// The one column that is read.
#[derive(Deserialize)]
struct Column {
    row: Option<String>,
}

/// We wrote the row: if it cannot be read, that is an internal error.
pub(super) fn parse<T: DeserializeOwned>(row: Option<String>) -> Result<Option<T>, ApiError> {
    Ok(row.map(|text| serde_json::from_str(&text)).transpose()?)
}

fn unavailable(cause: worker::Error) -> ApiError {
    ApiError::unavailable("The database (D1)", cause)
}

impl Db {
    pub fn new(env: &Env) -> Result<Self, ApiError> {
        Self::counting(env, Rc::default())
    }

    /// The same, with its statements counted in `facts`.
    pub fn counting(env: &Env, facts: Rc<Facts>) -> Result<Self, ApiError> {
        let d1 = env.d1("DB").map_err(unavailable)?;
        Ok(Self { d1, facts })
    }

    pub(super) fn prepare(
        &self,
        sql: &str,
        binds: &[JsValue],
    ) -> Result<D1PreparedStatement, ApiError> {
        self.facts.d1.update(|count| count + 1);
        self.d1.prepare(sql).bind(binds).map_err(unavailable)
    }

    async fn row(&self, sql: &str, binds: &[JsValue]) -> Result<Option<String>, ApiError> {
        let statement = self.prepare(sql, binds)?;
        statement.first::<String>(Some("row")).await.map_err(unavailable)
    }

    pub(super) async fn first<T: DeserializeOwned>(
        &self,
        sql: &str,
        binds: &[JsValue],
    ) -> Result<Option<T>, ApiError> {
        parse(self.row(sql, binds).await?)
    }

    /// Does this find, or change and return, a row?
    pub(super) async fn has_row(&self, sql: &str, binds: &[JsValue]) -> Result<bool, ApiError> {
        Ok(self.row(sql, binds).await?.is_some())
    }

    /// Executes a statement that returns no row.
    pub(super) async fn execute(&self, sql: &str, binds: &[JsValue]) -> Result<(), ApiError> {
        self.prepare(sql, binds)?.run().await.map(|_| ()).map_err(unavailable)
    }

    /// A page of a list: its items as a JSON array, and the cursor of the next page, if there
    /// is one. The row is the array of the cursor and the items.
    pub(super) async fn page(
        &self,
        sql: &str,
        binds: &[JsValue],
    ) -> Result<(String, Option<String>), ApiError> {
        let page: Option<(Option<String>, String)> = self.first(sql, binds).await?;
        let (next, items) = page.unwrap_or((None, "[]".to_owned()));
        Ok((items, next))
    }

    /// Executes the statements as one batch, which is atomic; the first row of the
    /// statement at `of`, as text.
    pub(super) async fn batch(
        &self,
        statements: Vec<D1PreparedStatement>,
        of: usize,
    ) -> Result<Option<String>, ApiError> {
        let results = self.d1.batch(statements).await.map_err(unavailable)?;
        let rows = results.get(of).map(|result| result.results::<Column>()).transpose();
        let rows = rows.map_err(unavailable)?.unwrap_or_default();
        Ok(rows.into_iter().next().and_then(|column| column.row))
    }

    /// Does D1 answer?
    pub async fn ping(&self) -> Result<(), ApiError> {
        self.row("SELECT count(*) || '' AS row FROM tokens WHERE id = ''", &[]).await.map(|_| ())
    }
}
