//! The transports: webhooks, streams, long polls, and changes between them.

use super::{OF_ANN, of, reaching};
use e2e::{Site, free_port, shared, until};

fn by_webhook(port: u16) -> [String; 4] {
    [
        "--listen".to_owned(),
        format!("127.0.0.1:{port}"),
        "--public-url".to_owned(),
        format!("http://127.0.0.1:{port}/below"),
    ]
}

async fn receives_by(site: &Site, transport: &str) {
    site.status_with(transport, |status| {
        (status["repos"][0]["delivery"] == transport).then_some(())
    })
    .await;
}

#[tokio::test]
async fn messages_arrive_by_webhook_stream_and_long_poll_and_while_that_changes() {
    let (dan, mut ann, _) = reaching(&[], &[]).await;
    let port = free_port();
    let hook = by_webhook(port);
    let hook: Vec<&str> = hook.iter().map(String::as_str).collect();
    let mut sent = 0;
    for (args, transport) in
        [(&hook[..], "webhook"), (&["--poll"], "polling"), (&hook, "webhook"), (&[], "stream")]
    {
        // Messages are sent while the transport changes.
        let (writer, next) = (dan.writer("fox"), sent..sent + 30);
        sent = next.end;
        let writing = std::thread::spawn(move || {
            next.for_each(|n| writer.send("fox-ann", &format!("m{n}")));
        });
        ann.kill_bridge();
        ann.start_bridge(args);
        receives_by(&ann, transport).await;
        writing.join().unwrap();
        dan.send("fox", "fox-ann", &format!("m{sent}"));
        sent += 1;
        let what = format!("all {sent} have arrived, the last by {transport}");
        until(&what, async || ann.bodies("fox", "fox-dan").len() >= sent).await;
    }
    let wanted: Vec<_> = (0..sent).map(|n| format!("m{n}")).collect();
    assert_eq!(ann.bodies("fox", "fox-dan"), wanted);
}

#[tokio::test]
async fn a_public_url_that_leads_nowhere_falls_back_to_streams() {
    let world = shared().await.world().await;
    let (mut dan, mut ann) = of(&world);
    let (port, elsewhere) = (free_port(), free_port());
    let (listen, public) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{elsewhere}"));
    ann.start_bridge(&["--listen", &listen, "--public-url", &public]);
    ann.reaches(&[]).await;
    dan.bridge(&[], &OF_ANN).await;
    receives_by(&ann, "stream").await;
    dan.send("fox", "fox-ann", "by stream");
    ann.receives("fox", "by stream").await;
}
