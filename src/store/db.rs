//! The database D1: statements with a column `row` of JSON text.

use crate::error::ApiError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::rc::Rc;
use worker::wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement, Env};

/// The database; every statement is counted.
pub struct Db {
    d1: D1Database,
    statements: Rc<Cell<u32>>,
}

/// A value to bind.
pub enum Bind<'a> {
    /// A text.
    Text(&'a str),
    /// A text, or nothing.
    Maybe(Option<&'a str>),
    /// A whole number below 2^53, the limit of D1.
    Int(i64),
}

impl From<&Bind<'_>> for JsValue {
    fn from(bind: &Bind<'_>) -> Self {
        match bind {
            Bind::Text(text) | Bind::Maybe(Some(text)) => Self::from_str(text),
            Bind::Maybe(None) => Self::NULL,
            Bind::Int(number) => Self::from_f64(*number as f64),
        }
    }
}

/// The one column that is read.
#[derive(Deserialize)]
struct Column {
    row: Option<String>,
}

/// We wrote the row: if it cannot be read, that is an internal error.
fn parse<T: DeserializeOwned>(row: Option<String>) -> Result<Option<T>, ApiError> {
    Ok(row.map(|text| serde_json::from_str(&text)).transpose()?)
}

fn unavailable(cause: worker::Error) -> ApiError {
    ApiError::unavailable("The database (D1)", cause)
}

impl Db {
    /// The database of this environment.
    pub fn new(env: &Env) -> Result<Self, ApiError> {
        Self::counting(env, Rc::default())
    }

    /// The same, with its statements counted in `statements`.
    pub fn counting(env: &Env, statements: Rc<Cell<u32>>) -> Result<Self, ApiError> {
        let d1 = env.d1("DB").map_err(unavailable)?;
        Ok(Self { d1, statements })
    }

    pub(super) fn prepare(
        &self,
        sql: &str,
        binds: &[Bind<'_>],
    ) -> Result<D1PreparedStatement, ApiError> {
        self.statements.set(self.statements.get() + 1);
        let binds: Vec<_> = binds.iter().map(JsValue::from).collect();
        self.d1.prepare(sql).bind(&binds).map_err(unavailable)
    }

    async fn row(&self, sql: &str, binds: &[Bind<'_>]) -> Result<Option<String>, ApiError> {
        let statement = self.prepare(sql, binds)?;
        statement.first::<String>(Some("row")).await.map_err(unavailable)
    }

    /// The first row.
    pub(super) async fn first<T: DeserializeOwned>(
        &self,
        sql: &str,
        binds: &[Bind<'_>],
    ) -> Result<Option<T>, ApiError> {
        parse(self.row(sql, binds).await?)
    }

    /// Executes a statement that ends with `RETURNING '1' AS row`; true if it
    /// changed a row.
    pub(super) async fn changes(&self, sql: &str, binds: &[Bind<'_>]) -> Result<bool, ApiError> {
        Ok(self.row(sql, binds).await?.is_some())
    }

    /// Executes the statements as one batch, which is atomic; the first row of the
    /// statement at `of`, as text.
    pub(super) async fn batch_text(
        &self,
        statements: Vec<D1PreparedStatement>,
        of: usize,
    ) -> Result<Option<String>, ApiError> {
        let results = self.d1.batch(statements).await.map_err(unavailable)?;
        let rows = results.get(of).map(|result| result.results::<Column>()).transpose();
        let rows = rows.map_err(unavailable)?.unwrap_or_default();
        Ok(rows.into_iter().next().and_then(|column| column.row))
    }

    /// The same, parsed.
    pub(super) async fn batch<T: DeserializeOwned>(
        &self,
        statements: Vec<D1PreparedStatement>,
        of: usize,
    ) -> Result<Option<T>, ApiError> {
        parse(self.batch_text(statements, of).await?)
    }

    /// Does D1 answer?
    pub async fn ping(&self) -> Result<(), ApiError> {
        self.row("SELECT count(*) || '' AS row FROM tokens WHERE id = ''", &[]).await.map(|_| ())
    }
}
