use crate::document;
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::schema::patterns::SAYS_SOMETHING;
use multiclaude_hybrid_protocol::text::is_blank;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Calls `visit` with every object in `value` and the pointer to it.
fn walk(value: &Value, at: &str, visit: &mut impl FnMut(&str, &serde_json::Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            visit(at, map);
            for (key, inner) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                walk(inner, &format!("{at}/{key}"), visit);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                walk(inner, &format!("{at}/{index}"), visit);
            }
        }
        _ => {}
    }
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for part in ["paths", "webhooks"] {
        for (path, item) in document[part].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                found.push((format!("{method} {path}"), operation));
            }
        }
    }
    found
}

/// Validates `value` against `schema`, whose references lead into `document`.
fn fits(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    let validator = jsonschema::draft202012::new(&whole).unwrap();
    let faults: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

#[test]
fn it_has_what_openapi_3_1_requires() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    for member in ["title", "version"] {
        assert!(document["info"][member].is_string(), "{member}");
    }
    let tags = document["tags"].as_array().unwrap().iter();
    let tags: BTreeSet<_> = tags.map(|tag| tag["name"].to_string()).collect();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        for tag in operation["tags"].as_array().into_iter().flatten() {
            assert!(tags.contains(&tag.to_string()), "{name} {tag}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let known = status == "default"
                || status == "2XX"
                || status.parse().is_ok_and(|status: u16| (100..600).contains(&status));
            assert!(known && response["description"].is_string(), "{name} {status}");
        }
    }
}

/// The parameters of an operation, as `path.id`.
fn parameters<'a>(document: &'a Value, operation: &'a Value) -> BTreeSet<String> {
    let listed = operation["parameters"].as_array().into_iter().flatten();
    let resolved = listed.map(|parameter| match parameter["$ref"].as_str() {
        Some(to) => document.pointer(&to[1..]).unwrap(),
        None => parameter,
    });
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    resolved.map(|found| format!("{}.{}", text(&found["in"]), text(&found["name"]))).collect()
}

/// The parameters in a path: `path.id` of `/tokens/{id}`.
fn in_path(path: &str) -> BTreeSet<String> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| format!("path.{name}")).collect()
}

#[test]
fn every_part_of_a_path_is_a_parameter_and_the_other_way_round() {
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let mut found = parameters(&document, operation);
            found.retain(|parameter| parameter.starts_with("path."));
            assert_eq!(found, in_path(path), "{path}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut count = 0;
    walk(&document, "", &mut |at, map| {
        if let Some(to) = map.get("$ref").and_then(Value::as_str) {
            count += 1;
            assert!(
                to.strip_prefix('#').and_then(|to| document.pointer(to)).is_some(),
                "{at}: {to}"
            );
        }
    });
    assert!(count > 100, "{count}");
}

#[test]
fn every_link_leads_to_an_operation_and_sets_every_part_of_its_path() {
    let document = document();
    let all = operations(&document);
    let mut count = 0;
    walk(&document["paths"], "", &mut |at, map| {
        let links = map.get("links").and_then(Value::as_object);
        for link in links.into_iter().flat_map(|links| links.values()) {
            count += 1;
            let leads = |(_, to): &&(String, &Value)| to["operationId"] == link["operationId"];
            let (name, to) = all.iter().find(leads).unwrap_or_else(|| panic!("{at}: {link}"));
            let mut taken = parameters(&document, to);
            let set = link["parameters"].as_object().unwrap();
            // `path.id`, or `id` alone.
            taken.retain(|at| {
                set.contains_key(at) || set.contains_key(&at[at.find('.').unwrap() + 1..])
            });
            assert_eq!(taken.len(), set.len(), "{at}: {link}");
            assert!(in_path(name).is_subset(&taken), "{at}: {link}");
        }
    });
    assert!(count > 10, "{count}");
}

#[test]
fn every_error_code_is_an_answer_somewhere() {
    let document = document();
    let mut answered = BTreeSet::new();
    walk(&document, "", &mut |at, map| {
        let codes = map.get("code").and_then(|code| code.get("enum")).and_then(Value::as_array);
        if at.contains("problem+json") {
            answered
                .extend(codes.into_iter().flatten().map(|code| code.as_str().unwrap().to_owned()));
        }
    });
    let all: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(answered, all);
}

#[test]
fn every_schema_is_a_valid_schema_and_every_example_fits_its_own() {
    let document = document();
    let mut count = 0;
    walk(&document, "", &mut |at, map| {
        let Some(schema) = map.get("schema") else {
            return;
        };
        if at.ends_with("/properties") {
            return;
        }
        jsonschema::draft202012::meta::validate(schema).unwrap();
        let named = map.get("examples").and_then(Value::as_object);
        let named = named.into_iter().flat_map(|all| all.values()).map(|example| &example["value"]);
        for example in map.get("example").into_iter().chain(named) {
            count += 1;
            fits(&document, schema, example)
                .unwrap_or_else(|fault| panic!("{at}: {example}: {fault}"));
        }
    });
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        jsonschema::draft202012::meta::validate(schema).unwrap();
        for example in schema["examples"].as_array().into_iter().flatten() {
            count += 1;
            fits(&document, schema, example).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn a_task_fits_the_document_exactly_if_it_says_something() {
    let schema = json!({ "type": "string", "pattern": SAYS_SOMETHING });
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for code in 0..0x1_0000_u32 {
        let Some(character) = char::from_u32(code) else { continue };
        let task = format!(" {character}");
        assert_eq!(validator.is_valid(&json!(task)), !is_blank(&task), "U+{code:04X}");
    }
}
