//! A stand-in for the Messages API on loopback: the real Claude Code runs against it
//! without a network and without an account.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, Uri};
use futures_util::stream;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// A turn of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A short answer, at once.
    Fast,
    /// An answer that streams for so many seconds.
    Slow(u64),
    /// A tool that takes so many seconds, then a short answer.
    Tool(u64),
}

/// The server. It ends with the runtime.
#[derive(Debug, Clone)]
pub struct Model {
    pub url: String,
    turn: Arc<Mutex<Turn>>,
}

impl Model {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let turn = Arc::new(Mutex::new(Turn::Fast));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&turn));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, turn }
    }

    /// What turns look like from now on.
    pub fn set(&self, turn: Turn) {
        *self.turn.lock().unwrap() = turn;
    }
}

async fn answer(State(turn): State<Arc<Mutex<Turn>>>, uri: Uri, body: Bytes) -> Response<Body> {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !uri.path().ends_with("/v1/messages") {
        let error =
            json!({ "type": "error", "error": { "type": "not_found_error", "message": "x" } });
        return Response::builder().status(404).body(error.to_string().into()).unwrap();
    }
    let has_tools = request["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let last =
        request["messages"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    let after_tool = last["content"]
        .as_array()
        .is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"));
    let turn = *turn.lock().unwrap();
    let (block, stop, pause) = match turn {
        Turn::Tool(seconds) if has_tools && !after_tool => {
            let input = json!({ "command": format!("sleep {seconds}"), "description": "wait" });
            let id = format!("toolu_{:016x}", fastrand::u64(..));
            (json!({ "type": "tool_use", "id": id, "name": "Bash", "input": input }), "tool_use", 0)
        }
        Turn::Slow(seconds) if has_tools => {
            (json!({ "type": "text", "text": "ok" }), "end_turn", seconds)
        }
        _ => (json!({ "type": "text", "text": "ok" }), "end_turn", 0),
    };
    let message = json!({
        "id": format!("msg_{:016x}", fastrand::u64(..)), "type": "message", "role": "assistant",
        "model": request["model"], "content": [block], "stop_reason": stop, "stop_sequence": null,
        "usage": { "input_tokens": 10, "output_tokens": 5 },
    });
    if request["stream"] != true {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        return Response::builder().body(message.to_string().into()).unwrap();
    }
    let events = stream::unfold((events(&message), pause), |(mut events, pause)| async move {
        let event = (!events.is_empty()).then(|| events.remove(0))?;
        // The text begins, and the rest of it takes its time.
        if event.contains("content_block_stop") {
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        Some((Ok::<_, std::io::Error>(event), (events, pause)))
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(events))
        .unwrap()
}

/// The events in which a message is streamed.
fn events(message: &Value) -> Vec<String> {
    let block = &message["content"][0];
    let (begin, delta) = if block["type"] == "text" {
        (
            json!({ "type": "text", "text": "" }),
            json!({ "type": "text_delta", "text": block["text"] }),
        )
    } else {
        let mut begin = block.clone();
        begin["input"] = json!({});
        let input = block["input"].to_string();
        (begin, json!({ "type": "input_json_delta", "partial_json": input }))
    };
    let mut start = message.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let stop = json!({ "stop_reason": message["stop_reason"], "stop_sequence": null });
    [
        json!({ "type": "message_start", "message": start }),
        json!({ "type": "content_block_start", "index": 0, "content_block": begin }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": stop, "usage": { "output_tokens": 5 } }),
        json!({ "type": "message_stop" }),
    ]
    .iter()
    .map(|event| {
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
    })
    .collect()
}
