//! Extractors: each parameter of a handler is read and validated from the request, in
//! order, before the handler runs. The caller comes first.
//!
//! Only [`crate::caller::RepoCaller`], whose token covers the repo of the path, gives a
//! handler the repo: a handler cannot forget to check the caller.

use crate::answer::Handled;
use crate::body;
use crate::context::Context;
use crate::error::ApiError;
use multiclaude_hybrid_protocol::body::Body;
use multiclaude_hybrid_protocol::{AgentId, AgentName, ErrorCode, MessageId, SpawnId, TokenId};

/// A parameter of a handler.
#[expect(async_fn_in_trait, reason = "a Worker has one thread")]
pub trait FromRequest: Sized {
    /// Reads and validates it.
    async fn from_request(context: &mut Context) -> Result<Self, ApiError>;
}

/// A function that serves a request, with extractors as its parameters.
#[expect(async_fn_in_trait, reason = "a Worker has one thread")]
pub trait Handler<Listed> {
    /// Reads the parameters, and runs.
    async fn serve(self, context: Context) -> Handled;
}

macro_rules! handler {
    ($($listed:ident)*) => {
        impl<F, Answer, $($listed: FromRequest),*> Handler<($($listed,)*)> for F
        where
            F: FnOnce(Context, $($listed),*) -> Answer,
            Answer: Future<Output = Handled>,
        {
            #[allow(non_snake_case, unused_mut, reason = "the types' names serve as variables")]
            async fn serve(self, mut context: Context) -> Handled {
                $(let $listed = $listed::from_request(&mut context).await?;)*
                self(context, $($listed),*).await
            }
        }
    };
}

handler!();
handler!(A);
handler!(A B);
handler!(A B C);
handler!(A B C D);

impl FromRequest for AgentName {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        context.in_path("name", Self::parse)
    }
}

macro_rules! ids {
    ($($id:ident: $form:literal;)*) => {$(
        impl FromRequest for $id {
            async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
                context.in_path("id", |text| Self::parse(text).ok_or(concat!("is not ", $form)))
            }
        }
    )*};
}

ids! {
    MessageId: "a message id, msg_<32 hex digits>_<agent>";
    SpawnId: "a request's id, spn_<32 hex digits>";
    TokenId: "a token's id, tok_<32 hex digits>; the secret ADMIN_TOKEN is replaced with \
        wrangler secret put";
}

/// The incarnation that the caller believes to act for (the header `Agent-Id`); an empty
/// header counts as absent.
#[derive(Debug, Clone)]
pub struct Incarnation(pub Option<AgentId>);

impl Incarnation {
    /// Does the caller mean this one, or any?
    pub fn is(&self, id: &AgentId) -> bool {
        self.0.as_ref().is_none_or(|wanted| wanted == id)
    }
}

impl FromRequest for Incarnation {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        let header = context.request.headers().get("agent-id")?;
        let Some(text) = header.filter(|text| !text.is_empty()) else {
            return Ok(Self(None));
        };
        let id = AgentId::parse(&text).ok_or_else(|| {
            let message = "must be agt_<32 hex digits>";
            ApiError::parameter(ErrorCode::InvalidParameter, "Agent-Id", message)
        });
        Ok(Self(Some(id?)))
    }
}

#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Body> FromRequest for Json<T> {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        Ok(Self(T::read(&body::read(&mut context.request).await?)?))
    }
}

/// A JSON body that may be left out.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

impl<T: Body> FromRequest for OptionalJson<T> {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        let bytes = body::read(&mut context.request).await?;
        Ok(Self(T::read(if bytes.is_empty() { b"{}" } else { &bytes })?))
    }
}

/// A JSON body that is a list of at most `MAX`.
#[derive(Debug)]
pub struct JsonList<T, const MAX: usize>(pub Vec<T>);

impl<T: Body, const MAX: usize> FromRequest for JsonList<T, MAX> {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        Ok(Self(T::read_list(&body::read(&mut context.request).await?, MAX)?))
    }
}
