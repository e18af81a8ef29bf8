use super::*;
use crate::body::{Body, BodyError};

fn register(body: &serde_json::Value) -> Result<Registration, BodyError> {
    Registration::read(body.to_string().as_bytes())
}

#[test]
fn a_registration_needs_a_name_and_a_type_and_names_every_fault() {
    let faults = register(&serde_json::json!({"location": "moon", "take_over": 1})).unwrap_err();
    let BodyError::Fields(faults) = faults else { panic!("{faults}") };
    let names: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(names, ["name", "type", "location", "take_over"]);
}

#[test]
fn empty_texts_of_a_go_client_mean_absent() {
    let body = serde_json::json!({
        "name": "w", "type": "worker", "location": "", "status": "", "endpoint": "",
        "instance": "", "webhook_secret": "", "metadata": null,
    });
    let read = register(&body).unwrap();
    assert_eq!(read.endpoint, EndpointChange::Clear);
    assert!(read.location.is_none() && read.status.is_none() && read.instance.is_none());
    assert!(read.webhook_secret.is_none() && read.metadata.is_none());
}
