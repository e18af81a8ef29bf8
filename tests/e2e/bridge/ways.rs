//! The ways in: webhooks, streams, long polls, and changes between them.

use super::{OF_ANN, of, reaching};
use e2e::{Site, eventually, shared};
use std::net::TcpListener;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn by_webhook(port: u16) -> [String; 4] {
    [
        "--listen".to_owned(),
        format!("127.0.0.1:{port}"),
        "--public-url".to_owned(),
        format!("http://127.0.0.1:{port}/below"),
    ]
}

async fn comes_by(site: &Site, way: &str) {
    site.status_with(way, |status| (status["repos"][0]["delivery"] == way).then_some(())).await;
}

#[tokio::test]
async fn messages_come_by_webhook_by_stream_and_by_long_poll_and_while_that_changes() {
    let (dan, mut ann, _) = reaching(&[], &[]).await;
    let port = free_port();
    let hook = by_webhook(port);
    let hook: Vec<&str> = hook.iter().map(String::as_str).collect();
    let mut sent = 0;
    for (args, way) in
        [(&hook[..], "webhook"), (&["--poll"], "polling"), (&hook, "webhook"), (&[], "stream")]
    {
        // Messages are on their way while the bridge changes its way.
        let (writer, next) = (dan.writer("fox"), sent..sent + 30);
        sent = next.end;
        let writing = std::thread::spawn(move || {
            next.for_each(|n| writer.send("fox-ann", &format!("m{n}")));
        });
        ann.kill_bridge();
        ann.start_bridge(args);
        comes_by(&ann, way).await;
        writing.join().unwrap();
        dan.send("fox", "fox-ann", &format!("m{sent}"));
        sent += 1;
        let what = format!("all {sent} have come, the last by {way}");
        eventually(&what, 60, || async {
            (ann.bodies("fox", "fox-dan").len() >= sent).then_some(())
        })
        .await;
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
    comes_by(&ann, "stream").await;
    dan.send("fox", "fox-ann", "by another way");
    ann.receives("fox", "by another way").await;
}
