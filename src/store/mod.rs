//! D1: one file per table. SQL text lives nowhere else (but for the
//! mailboxes' own, in `mailbox/sql.rs`).
//!
//! Rows come back as one JSON text each: one crossing from JavaScript a row, and
//! no detour over floats. What only passes through is made by SQLite in its wire
//! form and never taken apart; what is decided on is read by serde.

pub mod agents;
pub mod audit;
pub mod callbacks;
pub mod configs;
pub mod leases;
pub mod outgoing;
pub mod presence;
pub mod runners;
pub mod spawn_logs;
pub mod spawns;
pub mod tokens;

use crate::cost::Cost;
use crate::error::ApiError;
use audit::Entry;
use serde::de::DeserializeOwned;
use std::rc::Rc;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{D1Database, D1PreparedStatement, Env, js_sys};

/// The database; every statement is counted as a request's cost.
pub struct Db {
    d1: D1Database,
    cost: Rc<Cost>,
}

/// A value to bind.
pub enum Bind<'a> {
    /// A text.
    Text(&'a str),
    /// A text, or nothing.
    Maybe(Option<&'a str>),
    /// A whole number below 2^53. D1 knows no larger one.
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

/// A row is our own: where it cannot be read, that is a fault of ours.
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

    /// The same, with its statements counted in `cost`.
    pub fn counting(env: &Env, cost: Rc<Cost>) -> Result<Self, ApiError> {
        let d1 = env.d1("DB").map_err(unavailable)?;
        Ok(Self { d1, cost })
    }

    fn prepare(&self, sql: &str, binds: &[Bind<'_>]) -> Result<D1PreparedStatement, ApiError> {
        self.cost.d1.set(self.cost.d1.get() + 1);
        let statement = self.d1.prepare(sql);
        let binds: Vec<_> = binds.iter().map(JsValue::from).collect();
        statement.bind(&binds).map_err(unavailable)
    }

    async fn row(&self, statement: D1PreparedStatement) -> Result<Option<String>, ApiError> {
        statement.first::<String>(Some("row")).await.map_err(unavailable)
    }

    /// The first row, whose column `row` is a JSON text.
    async fn first<T: DeserializeOwned, const N: usize>(
        &self,
        sql: &str,
        binds: [Bind<'_>; N],
    ) -> Result<Option<T>, ApiError> {
        parse(self.row(self.prepare(sql, &binds)?).await?)
    }

    /// Executes a change that answers a row, and writes its entry into the audit
    /// log, if there is one, in the same batch.
    async fn recorded<T: DeserializeOwned>(
        &self,
        sql: &str,
        binds: &[Bind<'_>],
        entry: Option<&Entry>,
    ) -> Result<Option<T>, ApiError> {
        self.recorded_after(None, sql, binds, entry).await
    }

    /// The same, with another statement before it in the batch.
    async fn recorded_after<T: DeserializeOwned>(
        &self,
        before: Option<D1PreparedStatement>,
        sql: &str,
        binds: &[Bind<'_>],
        entry: Option<&Entry>,
    ) -> Result<Option<T>, ApiError> {
        parse(self.change(before, sql, binds, entry).await?)
    }

    async fn change(
        &self,
        before: Option<D1PreparedStatement>,
        sql: &str,
        binds: &[Bind<'_>],
        entry: Option<&Entry>,
    ) -> Result<Option<String>, ApiError> {
        let change = self.prepare(sql, binds)?;
        if before.is_none() && entry.is_none() {
            return self.row(change).await;
        }
        let statements = js_sys::Array::new();
        if let Some(before) = &before {
            statements.push(before.inner());
        }
        // The entry is about the statement right before it.
        statements.push(change.inner());
        if let Some(entry) = entry {
            statements.push(entry.prepare(self)?.inner());
        }
        self.row_of(&statements, before.is_some().into()).await
    }

    /// Executes the statements as one batch; answers the row of one of them.
    async fn row_of(
        &self,
        statements: &js_sys::Array,
        of: u32,
    ) -> Result<Option<String>, ApiError> {
        self.batch(statements, of).await.map_err(unavailable)
    }

    /// Executes both in one batch, which is atomic; answers the second's row.
    async fn pair(
        &self,
        first: (&str, &[Bind<'_>]),
        second: (&str, &[Bind<'_>]),
    ) -> Result<Option<String>, ApiError> {
        let statements = js_sys::Array::of2(
            self.prepare(first.0, first.1)?.inner(),
            self.prepare(second.0, second.1)?.inner(),
        );
        self.row_of(&statements, 1).await
    }

    /// The same. Read by hand: the crate's typed results would cost 8 KB of wasm.
    async fn batch(&self, statements: &js_sys::Array, of: u32) -> worker::Result<Option<String>> {
        let d1: &JsValue = self.d1.as_ref();
        let batch: js_sys::Function = js_sys::Reflect::get(d1, &"batch".into())?.dyn_into()?;
        let promise: js_sys::Promise = batch.call1(d1, statements)?.dyn_into()?;
        let results: js_sys::Array = js_sys::futures::JsFuture::from(promise).await?.dyn_into()?;
        let rows: js_sys::Array =
            js_sys::Reflect::get(&results.get(of), &"results".into())?.dyn_into()?;
        if rows.length() == 0 {
            return Ok(None);
        }
        let row = js_sys::Reflect::get(&rows.get(0), &"row".into())?;
        Ok(row.as_string())
    }

    /// Executes a statement that ends with `RETURNING '1' AS row`; true if it
    /// changed a row.
    async fn changes<const N: usize>(
        &self,
        sql: &str,
        binds: [Bind<'_>; N],
    ) -> Result<bool, ApiError> {
        Ok(self.row(self.prepare(sql, &binds)?).await?.is_some())
    }

    /// Does D1 answer?
    pub async fn ping(&self) -> Result<(), ApiError> {
        let sql = "SELECT json_array(count(*)) AS row FROM tokens WHERE id = ''";
        self.first::<(u32,), 0>(sql, []).await.map(|_| ())
    }
}
