//! A runner made of calls: what it does is written down in each test.

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use pipelines::ids::{JobId, RunnerId};
use pipelines::job::Outcome;
use pipelines::wire::{Assignment, LeaseProof, PROTOCOL, Report};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;
use ulid::Ulid;

use super::World;
use crate::store::access::{self, NewToken};
use crate::token::{Kind, mint};
use crate::web;

/// A runner with its token.
pub(crate) struct Runner {
    pub(crate) id: RunnerId,
    pub(crate) instance: Ulid,
    token: String,
}

impl World {
    /// Makes a runner and introduces it.
    pub(crate) async fn runner(&self, name: &str, environments: &[&str]) -> Runner {
        let runner = self.stranger(name).await;
        let (status, _) = self.register(&runner, environments).await;
        assert_eq!(status, StatusCode::OK);
        runner
    }

    /// Makes a runner that has not been heard from.
    pub(crate) async fn stranger(&self, name: &str) -> Runner {
        let minted = mint(Kind::Runner);
        let new = NewToken {
            name,
            id: &minted.id,
            hash: &minted.hash,
        };
        let now = self.app.clock.now();
        let mut tx = self.app.store.begin().await.unwrap();
        let id = access::insert_runner(&mut tx, new, now).await.unwrap();
        tx.commit().await.unwrap();
        Runner {
            id: id.unwrap(),
            instance: Ulid::generate(),
            token: minted.text.expose_secret().to_owned(),
        }
    }

    pub(crate) async fn register(
        &self,
        runner: &Runner,
        environments: &[&str],
    ) -> (StatusCode, Value) {
        let register = json!({
            "protocol": PROTOCOL, "version": "0.1.0", "instance": runner.instance, "labels": [],
            "environments": environments, "slots": 2, "engine": "docker 26.1.5",
        });
        self.call(runner, "register", &register).await
    }

    /// One call of a runner with a JSON body.
    pub(crate) async fn call(
        &self,
        runner: &Runner,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        self.send(&runner.token, path, body.to_string()).await
    }

    pub(crate) async fn send(&self, token: &str, path: &str, body: String) -> (StatusCode, Value) {
        let (status, bytes) = self
            .answer(Method::POST, token, path, Body::from(body))
            .await;
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    async fn answer(
        &self,
        method: Method,
        token: &str,
        path: &str,
        body: Body,
    ) -> (StatusCode, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/runner/v1/{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(body)
            .unwrap();
        let response = web::router(self.app.clone())
            .oneshot(request)
            .await
            .unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        (status, bytes.unwrap())
    }

    /// One call of a runner with any body.
    pub(crate) async fn post(
        &self,
        runner: &Runner,
        path: &str,
        body: String,
    ) -> (StatusCode, Value) {
        self.send(&runner.token, path, body).await
    }

    /// The same, but the body comes only once something has happened.
    pub(crate) async fn post_when(
        &self,
        runner: &Runner,
        path: &str,
        body: &'static str,
        happened: impl Future<Output = ()>,
    ) -> StatusCode {
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (go, gone) = tokio::sync::oneshot::channel();
        // Asked for its first part only after the lease has been looked at.
        let late = async move {
            begin.send(()).unwrap();
            gone.await.unwrap();
            Ok::<_, std::io::Error>(body)
        };
        let body = Body::from_stream(futures_util::stream::once(late));
        let sent = self.answer(Method::POST, &runner.token, path, body);
        let meanwhile = async {
            begun.await.unwrap();
            happened.await;
            go.send(()).unwrap();
        };
        tokio::join!(sent, meanwhile).0.0
    }

    /// What is read at an address of the wire.
    pub(crate) async fn fetch(&self, runner: &Runner, path: &str) -> (StatusCode, String) {
        let body = Body::empty();
        let (status, bytes) = self.answer(Method::GET, &runner.token, path, body).await;
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Claims with this key, without waiting.
    pub(crate) async fn claim_as(&self, runner: &Runner, key: Ulid) -> Option<Assignment> {
        let claim = json!({ "instance": runner.instance, "key": key, "wait_seconds": 0 });
        match self.call(runner, "claim", &claim).await {
            (StatusCode::OK, body) => Some(serde_json::from_value(body).unwrap()),
            (StatusCode::NO_CONTENT, _) => None,
            (status, body) => panic!("{status}: {body}"),
        }
    }

    /// Claims, without waiting.
    pub(crate) async fn claim(&self, runner: &Runner) -> Option<Assignment> {
        self.claim_as(runner, Ulid::generate()).await
    }

    pub(crate) async fn report(
        &self,
        runner: &Runner,
        (job, lease): (JobId, LeaseProof),
        report: Report,
    ) -> StatusCode {
        let call = json!({ "lease": lease, "report": report });
        self.call(runner, &format!("jobs/{job}/report"), &call)
            .await
            .0
    }

    /// Ends what was assigned.
    pub(crate) async fn finish(
        &self,
        runner: &Runner,
        assigned: &Assignment,
        outcome: Outcome,
    ) -> StatusCode {
        let report = Report::Finished {
            outcome,
            reason: (outcome != Outcome::Passed).then(|| "exit code 1".to_owned()),
            exit_code: None,
            outputs: super::digest(),
        };
        self.report(runner, (assigned.job, assigned.lease), report)
            .await
    }

    pub(crate) async fn log(
        &self,
        runner: &Runner,
        (job, lease): (JobId, LeaseProof),
        (offset, text): (u64, &str),
    ) -> (StatusCode, Value) {
        let path = format!(
            "jobs/{job}/log?attempt={}&fence={}&offset={offset}",
            lease.attempt, lease.fence
        );
        self.send(&runner.token, &path, text.to_owned()).await
    }

    pub(crate) async fn heartbeat(
        &self,
        runner: &Runner,
        (job, lease): (JobId, LeaseProof),
        wait_seconds: u32,
    ) -> (StatusCode, Value) {
        let beat = json!({
            "lease": lease, "instance": runner.instance, "wait_seconds": wait_seconds,
        });
        self.call(runner, &format!("jobs/{job}/heartbeat"), &beat)
            .await
    }
}
