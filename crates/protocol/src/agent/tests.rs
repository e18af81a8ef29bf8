use super::*;
use crate::body::read;
use serde_json::json;

#[test]
fn a_registration_needs_a_name_and_a_type_and_names_every_fault() {
    let faults = read::<Registration>(&json!({"location": "moon", "take_over": 1})).unwrap_err();
    assert_eq!(faults, ["name", "type", "location", "take_over"]);
}

#[test]
fn empty_texts_of_a_go_client_mean_absent() {
    let body = json!({
        "name": "w", "type": "worker", "location": "", "status": "", "endpoint": "",
        "instance": "", "webhook_secret": "", "metadata": null,
    });
    let read: Registration = read(&body).unwrap();
    assert_eq!(read.endpoint, EndpointChange::Clear);
    assert!(read.location.is_none() && read.status.is_none() && read.instance.is_none());
    assert!(read.webhook_secret.is_none() && read.metadata.is_none());
}
