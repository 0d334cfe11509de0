//! The static tables that `gust_wire` interprets.

use crate::model::{Reference, Shape};
use crate::plan::{Plan, WORDINGS};
use std::fmt::Write;

/// Appends `mod tables` and `MODEL`.
pub fn write(plan: &Plan, text: &mut String) {
    text.push_str("\npub mod tables {\n    use gust_wire::schema::*;\n");
    for (name, shape) in &plan.shapes {
        let _ = writeln!(text, "    pub static S_{name}: Shape = {};", shape_value(name, shape));
        if shape.kind == "structure" {
            structure(plan, name, shape, text);
        }
        if shape.exception {
            let _ = writeln!(
                text,
                "    pub const E_{name}: ErrorModel = ErrorModel {{ code: {:?}, status: {}, shape: &T_{name} }};",
                shape.error_code(name),
                shape.error_status(),
            );
        }
    }
    for (name, ends) in &plan.ends {
        operation(plan, name, ends, text);
    }
    text.push_str("}\n");
    service(plan, text);
}

fn option<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or("None".to_owned(), |value| format!("Some({value})"))
}

fn quoted(value: Option<&str>) -> String {
    value.map_or("None".to_owned(), |value| format!("Some({value:?})"))
}

fn timestamp_format(name: Option<&str>) -> &'static str {
    match name {
        Some("iso8601") => "Some(TimestampFormat::Iso8601)",
        Some("rfc822") => "Some(TimestampFormat::HttpDate)",
        Some("unixTimestamp") => "Some(TimestampFormat::EpochSeconds)",
        Some(other) => panic!("the timestamp format {other} is unknown"),
        None => "None",
    }
}

fn string(shape: &Shape, json_value: bool) -> String {
    let min = option(shape.min.as_ref().and_then(serde_json::Number::as_u64));
    let max = option(shape.max.as_ref().and_then(serde_json::Number::as_u64));
    let pattern = quoted(shape.pattern.as_deref());
    let values = &shape.values;
    format!(
        "Shape::String {{ min: {min}, max: {max}, pattern: {pattern}, values: &{values:?}, json_value: {json_value}, sensitive: {} }}",
        shape.sensitive
    )
}

fn shape_value(name: &str, shape: &Shape) -> String {
    let counts = || {
        let count = |bound: &Option<serde_json::Number>| option(bound.as_ref().and_then(serde_json::Number::as_u64));
        format!("min: {}, max: {}", count(&shape.min), count(&shape.max))
    };
    let values = || {
        let value = |bound: &Option<serde_json::Number>| option(bound.as_ref().and_then(serde_json::Number::as_i64));
        format!("min: {}, max: {}", value(&shape.min), value(&shape.max))
    };
    let part = |part: &Option<Reference>, default: &str| {
        let part = part.as_ref().unwrap_or_else(|| panic!("shape {name} lacks its {default}"));
        (format!("&S_{}", part.shape), part.location_name.clone().unwrap_or_else(|| default.to_owned()))
    };
    match shape.kind.as_str() {
        "structure" if shape.document => "Shape::Document".to_owned(),
        "structure" if shape.eventstream => format!("Shape::EventStream(&T_{name})"),
        "structure" => format!("Shape::Structure(&T_{name})"),
        "list" => {
            let (item, item_name) = part(&shape.member, "member");
            format!(
                "Shape::List {{ item: {item}, {}, item_name: {item_name:?}, flattened: {} }}",
                counts(),
                shape.flattened
            )
        }
        "map" => {
            let ((key, key_name), (value, value_name)) = (part(&shape.key, "key"), part(&shape.value, "value"));
            let names = format!("({key_name:?}, {value_name:?})");
            format!(
                "Shape::Map {{ key: {key}, value: {value}, {}, entry_names: {names}, flattened: {}, sensitive: {} }}",
                counts(),
                shape.flattened,
                shape.sensitive
            )
        }
        "string" | "character" => string(shape, false),
        "integer" | "short" | "byte" => format!("Shape::Integer {{ {} }}", values()),
        "long" | "biginteger" => format!("Shape::Long {{ {} }}", values()),
        "float" | "double" | "bigdecimal" => {
            let value = |bound: &Option<serde_json::Number>| bound.as_ref().and_then(serde_json::Number::as_f64);
            let bound = |bound| value(bound).map_or("None".to_owned(), |value| format!("Some({value:?})"));
            format!("Shape::Float {{ min: {}, max: {} }}", bound(&shape.min), bound(&shape.max))
        }
        "boolean" => "Shape::Boolean".to_owned(),
        "blob" => format!("Shape::Blob {{ {}, sensitive: {} }}", counts(), shape.sensitive),
        "timestamp" => {
            format!("Shape::Timestamp {{ format: {} }}", timestamp_format(shape.timestamp_format.as_deref()))
        }
        other => panic!("shape {name} has the unknown type {other}"),
    }
}

fn structure(plan: &Plan, name: &str, shape: &Shape, text: &mut String) {
    let model_name = if plan.absent.contains(name) { "" } else { name };
    let payload = quoted(shape.payload.as_deref());
    let _ = writeln!(
        text,
        "    pub static T_{name}: StructureShape = StructureShape {{ name: {model_name:?}, payload: {payload}, members: &["
    );
    for (member, reference) in &shape.members.0 {
        let wire_name = reference.location_name.as_deref().unwrap_or(member);
        let location = match reference.location.as_deref() {
            None if reference.eventpayload => "EventPayload",
            None if reference.eventheader => "EventHeader",
            None => "Body",
            Some("uri") => "Uri",
            Some("querystring") => "QueryString",
            Some("header") => "Header",
            Some("headers") => "Headers",
            Some("statusCode") => "StatusCode",
            Some(other) => panic!("{name}.{member} has the unknown location {other}"),
        };
        let value = if reference.jsonvalue {
            format!("&{}", string(plan.shape(&reference.shape), true))
        } else if reference.timestamp_format.is_some() {
            format!("&Shape::Timestamp {{ format: {} }}", timestamp_format(reference.timestamp_format.as_deref()))
        } else {
            format!("&S_{}", reference.shape)
        };
        let required = shape.required.contains(member);
        let _ = writeln!(
            text,
            "        MemberShape {{ name: {member:?}, wire_name: {wire_name:?}, location: Location::{location}, required: {required}, shape: {value} }},"
        );
    }
    text.push_str("    ] };\n");
}

fn operation(plan: &Plan, name: &str, ends: &(String, String), text: &mut String) {
    let Some(operation) = plan.api.operations.get(name) else { return };
    let (method, uri) = (&operation.http.method, &operation.http.request_uri);
    let status = operation.http.response_code.unwrap_or(200);
    let wrapper = quoted(operation.output.as_ref().and_then(|output| output.result_wrapper.as_deref()));
    let errors: Vec<String> = operation.errors.iter().map(|error| format!("E_{}", error.shape)).collect();
    let _ = writeln!(
        text,
        "    pub static OP_{name}: OperationModel = OperationModel {{\n        \
         route: OperationRoute {{ name: {name:?}, method: {method:?}, uri: {uri:?} }},\n        \
         status: {status}, input: &T_{}, output: &T_{}, result_wrapper: {wrapper},\n        \
         errors: &[{}],\n        members: &[",
        ends.0,
        ends.1,
        errors.join(", "),
    );
    let mut wordings = String::new();
    for (member, treatment) in plan.policies.get(name).into_iter().flat_map(|members| &members.0) {
        for (key, said) in &treatment.0 {
            if let Some((_, kind)) = WORDINGS.iter().find(|(name, _)| name == key) {
                let (code, message) = said.split_once(": ").unwrap_or_default();
                let _ = writeln!(
                    wordings,
                    "            Wording {{ member: {member:?}, constraint: ConstraintKind::{kind}, code: {code:?}, message: {message:?} }},"
                );
                continue;
            }
            let treatment = match key.as_str() {
                "refused" => "Refused",
                "accepted" => "Accepted",
                // Of what is honoured there is nothing to check; people read it in COVERAGE.md.
                _ => continue,
            };
            let _ = writeln!(
                text,
                "            MemberPolicy {{ member: {member:?}, treatment: Treatment::{treatment}, reason: {said:?} }},"
            );
        }
    }
    let _ = writeln!(text, "        ],\n        wordings: &[\n{wordings}        ],\n    }};");
}

fn service(plan: &Plan, text: &mut String) {
    let metadata = &plan.api.metadata;
    let protocol = match (metadata.protocol.as_str(), metadata.json_version.as_deref()) {
        ("json", Some("1.0")) => "AwsJson10",
        ("json", _) => "AwsJson11",
        ("rest-json", _) => "RestJson",
        ("rest-xml", _) => "RestXml",
        ("query", _) => "Query",
        (other, _) => panic!("the protocol {other} is unknown"),
    };
    let operations: Vec<String> = plan.ends.keys().map(|name| format!("&tables::OP_{name}")).collect();
    let _ = writeln!(
        text,
        "\npub static MODEL: gust_wire::ServiceModel = gust_wire::ServiceModel {{\n    \
         id: {:?}, signing_name: {:?}, endpoint_prefix: {:?}, target_prefix: {},\n    \
         protocols: &[gust_wire::Protocol::{protocol}], api_version: {:?}, xml_namespace: {}, validation_code: {:?},\n    \
         operations: &[{}],\n    unimplemented: &[",
        plan.api.service,
        metadata.signing_name.as_ref().unwrap_or(&metadata.endpoint_prefix),
        metadata.endpoint_prefix,
        quoted(metadata.target_prefix.as_deref()),
        metadata.api_version,
        quoted(metadata.xml_namespace.as_deref()),
        plan.api.validation_code,
        operations.join(", "),
    );
    for route in &plan.api.unimplemented {
        let (name, method, uri) = (&route.name, &route.method, &route.uri);
        let _ = writeln!(
            text,
            "        gust_wire::schema::OperationRoute {{ name: {name:?}, method: {method:?}, uri: {uri:?} }},"
        );
    }
    text.push_str("    ],\n};\n");
}
