//! Requests for workers.

use crate::{Call, Error, Repeat, RepoClient};
use multiclaude_hybrid_protocol::SpawnId;
use multiclaude_hybrid_protocol::callback::Callback;
use multiclaude_hybrid_protocol::spawn::{
    Claim, NewSpawn, SpawnRequest, SpawnStatus, WorkerLog, WorkerUpdate,
};
use multiclaude_hybrid_protocol::webhook::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, Secret};
use reqwest::{Method, StatusCode};

impl RepoClient {
    /// `POST …/workers/spawn`, under an idempotency key as in
    /// [`RepoClient::send`].
    pub async fn spawn(&self, wish: &NewSpawn, key: Option<&str>) -> Result<SpawnRequest, Error> {
        let call = Call::new(Method::POST, "/workers/spawn").json(wish);
        self.call(call.key(key)).await?.json()
    }

    /// `POST …/workers/claim`: the best matching request with a lease, if there
    /// is one. A repeat under the same key gives the same request.
    pub async fn claim(
        &self,
        offer: &Claim,
        key: Option<&str>,
    ) -> Result<Option<SpawnRequest>, Error> {
        let call = Call::new(Method::POST, "/workers/claim").json(offer);
        let reply = self.call(call.key(key)).await?;
        match reply.status {
            StatusCode::NO_CONTENT => Ok(None),
            _ => reply.json().map(Some),
        }
    }

    /// `GET …/workers/pending`: unclaimed requests, the most urgent first.
    pub async fn pending_workers(&self) -> Result<Vec<SpawnRequest>, Error> {
        let path = format!("{}/workers/pending", self.path);
        self.client.list(&path, &[], usize::MAX).await
    }

    /// `GET …/workers`: all requests, or those with a status.
    pub async fn workers(&self, status: Option<SpawnStatus>) -> Result<Vec<SpawnRequest>, Error> {
        let filter = [("status", status.map(|status| status.as_str().to_owned()))];
        self.client.list(&format!("{}/workers", self.path), &filter, usize::MAX).await
    }

    /// `GET …/workers/{id}`.
    pub async fn worker(&self, id: &SpawnId) -> Result<SpawnRequest, Error> {
        self.get(format!("/workers/{id}")).await
    }

    /// `PATCH …/workers/{id}`, by the holder of the lease: renews it, names the
    /// worker, ends it. `cancel_requested` in the answer asks to stop.
    ///
    /// [`WorkerUpdate::give_back`] returns the request, which is then `pending`,
    /// or `failed` if its cancellation was requested. The error `invalid_transition`
    /// means that its worker has started, `lease_lost` that another runner may have it.
    pub async fn update_worker(
        &self,
        id: &SpawnId,
        update: &WorkerUpdate,
    ) -> Result<SpawnRequest, Error> {
        let call = Call::new(Method::PATCH, format!("/workers/{id}")).json(update);
        self.call(call).await?.json()
    }

    /// `GET …/workers/{id}/log`: the end of its worker's log, for callers that may
    /// cancel it. The error `log_not_found` means that its runner has sent none.
    pub async fn worker_log(&self, id: &SpawnId) -> Result<WorkerLog, Error> {
        self.get(format!("/workers/{id}/log")).await
    }

    /// `DELETE …/workers/{id}`: cancels it. A worker that runs already is asked to stop.
    pub async fn cancel_worker(&self, id: &SpawnId) -> Result<SpawnRequest, Error> {
        let call = Call::new(Method::DELETE, format!("/workers/{id}"));
        self.call(call).await?.json()
    }

    /// `POST …/workers/{id}/callback`: the report of a `spawn_endpoint`, signed under
    /// the repo's `secret` at `now_secs`. The coordinator accepts each `webhook_id` once,
    /// so it is not repeated.
    pub async fn report_worker(
        &self,
        callback: &Callback,
        secret: &Secret,
        webhook_id: &str,
        now_secs: i64,
    ) -> Result<SpawnRequest, Error> {
        let body = serde_json::to_string(callback).map_err(|e| Error::Setup(e.to_string()))?;
        let signature = secret.sign(webhook_id, now_secs, &body);
        let call = Call::new(Method::POST, format!("/workers/{}/callback", callback.id))
            .header(HEADER_ID, webhook_id)
            .header(HEADER_TIMESTAMP, now_secs.to_string())
            .header(HEADER_SIGNATURE, signature)
            .body(body)
            .repeat(Repeat::IfNotDone);
        self.call(call).await?.json()
    }
}
