//! Webhooks: what was delivered, with which signature, and what was answered.
//!
//! One worker sends in the order of the events, so that a story knows what has arrived. The real
//! one promises no order; a story that wants another holds deliveries and sends them by hand.
//! Nothing is ever sent again by itself: GitHub does not.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use aws_lc_rs::{hmac, rand};
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::GitHub;
use super::hub::{Hub, lock};

/// One delivery of one event. A redelivery is another delivery with the same `guid`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// The number of this delivery.
    pub id: u64,
    /// `X-GitHub-Delivery`; the same in a redelivery.
    pub guid: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The `action` of the payload, if it has one.
    pub action: Option<String>,
    /// The repository it is about.
    pub repository_id: Option<u64>,
    /// The installation it goes to.
    pub installation_id: Option<u64>,
    /// The payload, byte for byte as signed.
    pub body: String,
    /// Whether someone asked for it to be sent again.
    pub redelivery: bool,
    /// When it was sent; none while held, or without a webhook to send to.
    pub delivered_at: Option<Timestamp>,
    /// How long the answer took, in seconds.
    pub duration: f64,
    /// The status of the answer; 0 if nobody answered, none if not sent.
    pub status_code: Option<u16>,
    /// The body of the answer, or why there is none.
    pub answer: String,
}

impl Delivery {
    /// The payload as JSON.
    pub fn payload(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// Whether the webhook took it.
    pub fn accepted(&self) -> bool {
        self.status_code
            .is_some_and(|code| (200..300).contains(&code))
    }
}

/// What the worker is told.
pub(super) enum Message {
    Deliver(u64),
    /// Says so when everything before it is done.
    Barrier(oneshot::Sender<()>),
}

/// An answer to a webhook, sent by hand.
#[derive(Clone, Debug)]
pub struct WebhookAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// The value of `X-Hub-Signature-256` for a body, with any secret.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body);
    let hex: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256={hex}")
}

/// A random UUID, version 4.
pub(super) fn guid() -> String {
    let mut bytes = [0; 16];
    // The system's randomness does not fail once it has started.
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    format!("{a}-{b}-{c}-{d}-{e}")
}

impl Hub {
    /// Records an event and lets the worker send it. GitHub drops what is above 25 MB.
    pub(super) fn emit(&self, event: &str, payload: &Value) -> Option<u64> {
        let body = payload.to_string();
        if body.len() > 25 << 20 {
            return None;
        }
        let id = |path: &str| payload.pointer(path).and_then(Value::as_u64);
        let mut delivery = Delivery {
            id: 0,
            guid: guid(),
            event: event.to_owned(),
            action: payload["action"].as_str().map(str::to_owned),
            repository_id: id("/repository/id"),
            installation_id: id("/installation/id"),
            body,
            redelivery: false,
            delivered_at: None,
            duration: 0.0,
            status_code: None,
            answer: String::new(),
        };
        let id = self.change(|state| {
            delivery.id = state.new_id();
            let id = delivery.id;
            state.deliveries.insert(id, delivery);
            id
        });
        if !*lock(&self.held) {
            self.enqueue(id);
        }
        Some(id)
    }

    /// A new delivery of the same event: same GUID, same bytes.
    pub(super) fn repeat(&self, id: u64) -> Option<u64> {
        let new = self.change(|state| {
            let mut again = state.deliveries.get(&id)?.clone();
            again.id = state.new_id();
            again.redelivery = true;
            (again.delivered_at, again.status_code) = (None, None);
            again.answer = String::new();
            let new = again.id;
            state.deliveries.insert(new, again);
            Some(new)
        })?;
        self.enqueue(new);
        Some(new)
    }

    pub(super) fn enqueue(&self, id: u64) {
        // It fails only after the end, when nobody waits for a delivery any more.
        let _ = self.queue.send(Message::Deliver(id));
    }

    /// Waits until everything that was to be sent has been answered.
    pub(super) async fn settled(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Message::Barrier(done)).is_ok() {
            // An error means that the worker has stopped, so there is nothing to wait for.
            let _ = wait.await;
        }
    }

    pub(super) fn delivery(&self, id: u64) -> Option<Delivery> {
        lock(&self.state).deliveries.get(&id).cloned()
    }

    /// The headers of a delivery, in GitHub's names.
    pub(super) fn delivery_headers(
        &self,
        delivery: &Delivery,
        secret: &str,
    ) -> Vec<(String, String)> {
        let app = self.options.app_id.to_string();
        let signature = sign(secret, delivery.body.as_bytes());
        [
            ("Accept", "*/*"),
            ("Content-Type", "application/json"),
            ("User-Agent", "GitHub-Hookshot/standin"),
            ("X-GitHub-Delivery", &delivery.guid),
            ("X-GitHub-Event", &delivery.event),
            ("X-GitHub-Hook-ID", "424242"),
            ("X-GitHub-Hook-Installation-Target-ID", &app),
            ("X-GitHub-Hook-Installation-Target-Type", "integration"),
            ("X-Hub-Signature-256", &signature),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    async fn deliver(&self, id: u64) {
        let Some(delivery) = self.delivery(id) else {
            return;
        };
        let Some((url, secret)) = lock(&self.webhook).clone() else {
            return;
        };
        let headers = self.delivery_headers(&delivery, &secret);
        let (at, start) = (Timestamp::now(), Instant::now());
        let (status, answer) = match self.post(&url, &headers, delivery.body).await {
            Ok(answer) => (answer.status, answer.body),
            Err(error) => (0, format!("{error:#}")),
        };
        self.change(|state| {
            if let Some(delivery) = state.deliveries.get_mut(&id) {
                delivery.delivered_at = Some(at);
                delivery.duration = start.elapsed().as_secs_f64();
                delivery.status_code = Some(status);
                delivery.answer = answer;
            }
        });
    }

    async fn post(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: impl Into<reqwest::Body>,
    ) -> Result<WebhookAnswer> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            // `append`, for a story that sends a header twice.
            map.append(name.parse::<reqwest::header::HeaderName>()?, value.parse()?);
        }
        let response = self.client.post(url).headers(map).body(body).send().await?;
        let status = response.status().as_u16();
        Ok(WebhookAnswer {
            status,
            body: response.text().await.unwrap_or_default(),
        })
    }
}

/// Sends what is queued, one after the other.
pub(super) async fn deliver_in_order(
    hub: Arc<Hub>,
    mut queue: UnboundedReceiver<Message>,
    stop: CancellationToken,
) {
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => return,
            message = queue.recv() => message,
        };
        match message {
            Some(Message::Deliver(id)) => hub.deliver(id).await,
            // Whoever asked may have gone; nothing is lost by that.
            Some(Message::Barrier(done)) => drop(done.send(())),
            None => return,
        }
    }
}

impl GitHub {
    /// Where events go from now on, and the secret that signs them.
    pub fn set_webhook(&self, url: &str, secret: &str) {
        *lock(&self.hub.webhook) = Some((url.to_owned(), secret.to_owned()));
    }

    /// No events are sent from now on; they are still recorded.
    pub fn clear_webhook(&self) {
        *lock(&self.hub.webhook) = None;
    }

    /// Sends an event of any name and payload, signed, and waits for the answer.
    pub async fn send(&self, event: &str, payload: &Value) -> Result<Delivery> {
        let id = self
            .hub
            .emit(event, payload)
            .context("GitHub sends nothing above 25 MB")?;
        self.hub.settled().await;
        self.hub
            .delivery(id)
            .context("a delivery is never forgotten")
    }

    /// Posts any bytes with any headers to the webhook, for forgeries; nothing is recorded. See
    /// [`sign`] and [`GitHub::signed_headers`].
    pub async fn send_raw(
        &self,
        headers: &[(String, String)],
        body: impl Into<Vec<u8>>,
    ) -> Result<WebhookAnswer> {
        let hook = lock(&self.hub.webhook).clone();
        let (url, _) = hook.context("there is no webhook to send to")?;
        self.hub.post(&url, headers, body.into()).await
    }

    /// The headers of a fresh delivery of that event and body, signed with a secret of the caller's
    /// choice.
    pub fn signed_headers(&self, event: &str, body: &[u8], secret: &str) -> Vec<(String, String)> {
        let delivery = Delivery {
            id: 0,
            guid: guid(),
            event: event.to_owned(),
            action: None,
            repository_id: None,
            installation_id: None,
            body: String::new(),
            redelivery: false,
            delivered_at: None,
            duration: 0.0,
            status_code: None,
            answer: String::new(),
        };
        let mut headers = self.hub.delivery_headers(&delivery, secret);
        headers.retain(|(name, _)| name != "X-Hub-Signature-256");
        headers.push(("X-Hub-Signature-256".to_owned(), sign(secret, body)));
        headers
    }

    /// Everything recorded so far, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.hub.state).deliveries.values().cloned().collect()
    }

    /// The deliveries of one event so far, oldest first.
    pub fn deliveries_of(&self, event: &str) -> Vec<Delivery> {
        let mut all = self.deliveries();
        all.retain(|delivery| delivery.event == event);
        all
    }

    /// Sends a delivery again: the same GUID and bytes, as the button on GitHub's page does.
    pub async fn redeliver(&self, id: u64) -> Result<Delivery> {
        let new = self
            .hub
            .repeat(id)
            .with_context(|| format!("there is no delivery {id}"))?;
        self.hub.settled().await;
        self.hub
            .delivery(new)
            .context("a delivery is never forgotten")
    }

    /// From now on events are recorded but not sent, until [`GitHub::deliver`] or
    /// [`GitHub::release_deliveries`].
    pub fn hold_deliveries(&self) {
        *lock(&self.hub.held) = true;
    }

    /// Sends one held delivery, before or after others as the story wants.
    pub async fn deliver(&self, id: u64) -> Result<Delivery> {
        self.hub.enqueue(id);
        self.hub.settled().await;
        self.hub
            .delivery(id)
            .with_context(|| format!("there is no delivery {id}"))
    }

    /// Sends everything that was held, in order, and holds no more.
    pub async fn release_deliveries(&self) {
        *lock(&self.hub.held) = false;
        for delivery in self.deliveries() {
            if delivery.status_code.is_none() {
                self.hub.enqueue(delivery.id);
            }
        }
        self.hub.settled().await;
    }

    /// Waits until every event so far has been sent and answered; for pushes made with git.
    pub async fn settled(&self) {
        self.hub.settled().await;
    }
}
