//! What clients are promised: the `OpenAPI` document and the protocol's descriptors, compared with committed snapshots.
//!
//! `BOXWOOD_UPDATE_SNAPSHOTS=1` writes them anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use boxwood_wire::v1;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::{Label, Type};

fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/api").join(name);
    if std::env::var_os("BOXWOOD_UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "docs/api/{name} is out of date; look at the change and run the test with BOXWOOD_UPDATE_SNAPSHOTS=1"
    );
}

#[test]
fn the_openapi_document_is_as_committed() {
    let text = boxwood_front::openapi_json() + "\n";
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(
        operations, 29,
        "classify the new route: who may call it, and is it in the table of docs/api.md?"
    );
    check("openapi.json", &text);
}

#[test]
fn the_protocol_is_as_committed() {
    let set = FileDescriptorSet::decode(v1::DESCRIPTORS).unwrap();
    let mut text = String::new();
    for file in set.file.iter().filter(|file| file.package() == "boxwood.v1") {
        for service in &file.service {
            for method in &service.method {
                let (input, output) = (method.input_type(), method.output_type());
                let stream = if method.server_streaming() { "stream " } else { "" };
                writeln!(text, "{}.{}({input}) -> {stream}{output}", service.name(), method.name()).unwrap();
            }
        }
        for item in &file.enum_type {
            for value in &item.value {
                writeln!(text, "{} = {}", value.name(), value.number()).unwrap();
            }
        }
        for message in file.message_type.iter().filter(|message| message.field.is_empty()) {
            writeln!(text, "{} {{}}", message.name()).unwrap();
        }
        for message in &file.message_type {
            for field in &message.field {
                let kind = match field.r#type() {
                    Type::Message | Type::Enum => field.type_name().to_owned(),
                    other => other.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
                };
                let label = match field.label() {
                    Label::Repeated => "repeated ",
                    Label::Optional | Label::Required if field.proto3_optional() => "optional ",
                    Label::Optional | Label::Required => "",
                };
                writeln!(text, "{}.{} = {}: {label}{kind}", message.name(), field.name(), field.number())
                    .unwrap();
            }
        }
    }
    check("boxwood.v1.txt", &text);
}

#[test]
fn the_page_for_people_names_every_route_code_and_variable() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/api.md");
    let page = std::fs::read_to_string(path).unwrap();
    let document: serde_json::Value = serde_json::from_str(&boxwood_front::openapi_json()).unwrap();
    for (route, operations) in document["paths"].as_object().unwrap() {
        let line = page.lines().find(|line| line.contains(&format!("`{route}`")));
        let line = line.unwrap_or_else(|| panic!("docs/api.md misses {route}"));
        for method in operations.as_object().unwrap().keys() {
            let named = page
                .lines()
                .any(|line| line.contains(&format!("`{route}`")) && line.contains(&method.to_uppercase()));
            assert!(named, "docs/api.md misses {method} {route}: {line}");
        }
    }
    for code in boxwood_wire::ErrorCode::ALL {
        let grpc = format!("{:?}", code.grpc());
        let grpc = grpc.chars().fold(String::new(), |text, c| {
            if c.is_uppercase() && !text.is_empty() {
                text + "_" + &c.to_string()
            } else {
                text + &c.to_string()
            }
        });
        let repeat = if code.is_retryable() { "yes" } else { "no" };
        let row = format!("| {} | {} | {} | {repeat} |", code.as_str(), code.http(), grpc.to_uppercase());
        assert!(page.contains(&row), "docs/api.md misses {row}");
    }
    for variable in boxwood_front::VARIABLES {
        assert!(page.contains(&format!("| {} |", variable.name)), "docs/api.md misses {}", variable.name);
    }
}
